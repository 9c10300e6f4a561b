"""The CA certificates with which KMS checks the HSMs of a key store's cluster.

pki is imported where it is used: it is a quarter of a cold start, and few requests need it.
"""

from __future__ import annotations

from hsm_lifecycle import secret_store
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import CertificateError, ParameterError, SecretNotFoundError

_MAX_CHARACTERS = 5000  # F4.1
_ADVICE = "Name the secret with the cluster's CA."


def read(event: Event) -> str:
    """The CA certificates that the stack names.

    ParameterError: they are missing, something else, or too long for KMS.
    """
    from hsm_lifecycle import pki

    name = event["CloudHsmCustCaCertSecretName"]
    try:
        certificates = pki.ca_certificates(secret_store.read(name), f"the secret {name}")
    except (CertificateError, SecretNotFoundError) as error:
        raise ParameterError(f"pCloudHsmCustCaCertSecretName: {error} {_ADVICE}") from error
    if len(certificates) > _MAX_CHARACTERS:
        raise ParameterError(
            f"pCloudHsmCustCaCertSecretName: the certificates have {len(certificates)} characters;"
            f" KMS allows {_MAX_CHARACTERS}. Keep only those of the cluster's CA."
        )
    return certificates


def check(event: Event, cluster_certificate: str) -> None:
    """ParameterError: the CA certificate is missing or another cluster's."""
    ca_certificates = read(event)
    if not cluster_certificate:
        return
    from hsm_lifecycle import pki

    name = event["CloudHsmCustCaCertSecretName"]
    try:
        pki.check_trust(ca_certificates, cluster_certificate, f"the secret {name}")
    except CertificateError as error:
        raise ParameterError(f"pCloudHsmCustCaCertSecretName: {error}") from error
