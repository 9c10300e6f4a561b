"""Repeats the verification of an HSM's identity, with openssl and with the functions' code.

From the evidence in Parameter Store (--cluster), or from a FILE: the output of `aws ssm
get-parameters-by-path --path /<pSystem>/<cluster ID>/hsm-identity`, or, before initialization, of
`aws cloudhsmv2 describe-clusters --filters clusterIds=<cluster ID>`. Fails if the HSM is not proven
to be genuine, or if the two disagree. See docs/hsm-identity.md.
"""

from __future__ import annotations

import argparse
import base64
import json
import subprocess  # nosec B404 # openssl
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from cryptography import x509
from cryptography.hazmat.primitives import serialization

sys.path.insert(0, str(Path(__file__).parents[1] / "functions"))

from hsm_lifecycle import hsm_identity, pem
from hsm_lifecycle.errors import HsmIdentityError
from hsm_lifecycle.hsm_identity import AWS, CSR, HSM, MANUFACTURER

REFUSED = "REFUSED"
# What openssl cannot tell apart: whether a root has expired.
_SAME = {hsm_identity.ROOT_EXPIRED: hsm_identity.VERIFIED}


def certificates_in(document: Mapping[str, Any]) -> dict[str, str]:
    """The certificates and the CSR in the output of either command. SystemExit: they changed."""
    if "Clusters" in document:
        found = dict(document["Clusters"][0]["Certificates"])
    else:
        found = {each["Name"].rpartition("/")[2]: each["Value"] for each in document["Parameters"]}
    if "Verdict" in found:
        record = json.loads(found["Verdict"])
        print(f"evidence:     {record['Verdict']}: {record['Detail']} ({record['Time']})")
        kept = {name: found.get(name, "") for name in record["Certificates"]}
        if {name: pem.digest(text) for name, text in kept.items()} != record["Certificates"]:
            sys.exit("The certificates are not those of the verdict: they were changed.")
        return kept
    return {name: found[name] for name in pem.OF_FIRST_HSM if name in found}


def by_our_code(certificates: Mapping[str, str], roots: Path, given: str) -> tuple[str, str]:
    """The verdict of the functions' code, and its reason."""
    keys = ",".join(map(_spki, x509.load_pem_x509_certificates(given.encode()))) if given else ""
    try:
        finding = hsm_identity.verify(
            certificates, hsm_identity.pinned_roots(keys, roots), datetime.now(UTC)
        )
    except HsmIdentityError as error:
        return REFUSED, str(error)
    return finding.verdict, finding.detail


def by_openssl(certificates: Mapping[str, str], roots: Path, given: str) -> tuple[str, str]:
    """The verdict of openssl, as AWS documents it but without the check of expiry."""
    if not {CSR, HSM, AWS} <= certificates.keys():
        return hsm_identity.NOT_VERIFIED, "certificates are missing"
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        for name, text in certificates.items():
            (directory / name).write_text(text)
        key = ("-noout", "-pubkey")
        keys = {
            _openssl("x509", "-in", directory / HSM, *key),
            _openssl("req", "-in", directory / CSR, *key),
        }
        if len(keys) != 1 or _openssl("req", "-in", directory / CSR, "-noout", "-verify") is None:
            return REFUSED, f"the keys of {CSR} and {HSM} differ"
        trusted = {
            AWS: (roots / "aws.pem").read_text(),
            MANUFACTURER: (roots / "manufacturer.pem").read_text() + given,
        }
        for name in (AWS, MANUFACTURER):
            issuers = {
                root.subject for root in x509.load_pem_x509_certificates(trusted[name].encode())
            }
            if name == MANUFACTURER and (
                name not in certificates
                or (not given and _issuer(certificates[name]) not in issuers)
            ):
                return hsm_identity.AWS_CHAIN_ONLY, "no root for the manufacturer's chain"
            (directory / "roots").write_text(trusted[name])
            verify = ("verify", "-no_check_time", "-CAfile", directory / "roots", "-untrusted")
            if _openssl(*verify, directory / name, directory / HSM) is None:
                return REFUSED, f"openssl verify refuses the chain of {name}"
    return hsm_identity.VERIFIED, "both chains and the keys are valid"


def _openssl(*arguments: str | Path) -> str | None:
    """What openssl prints; None if it fails."""
    command = ["openssl", *arguments]
    done = subprocess.run(  # nosec B603 # openssl, with files
        command, capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else None


def _spki(certificate: x509.Certificate) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    der = certificate.public_key().public_bytes(serialization.Encoding.DER, form)
    return base64.b64encode(der).decode()


def _issuer(text: str) -> x509.Name:
    return x509.load_pem_x509_certificate(text.encode()).issuer


def main(arguments: list[str] | None = None) -> None:
    """Print both verdicts; exits with 1 unless they agree that the HSM is genuine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, help="the output of one of the two commands")
    parser.add_argument("--cluster", help="read the evidence of this cluster instead")
    parser.add_argument("--system", default="cloudhsm", help="its pSystem (default: %(default)s)")
    parser.add_argument(
        "--manufacturer-root", type=Path, help="certificate of a root that is not shipped, in PEM"
    )
    parser.add_argument("--roots", type=Path, default=hsm_identity.ROOTS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if bool(options.file) == bool(options.cluster):
        parser.error("give either a FILE or --cluster")
    if options.cluster:
        path = f"/{options.system}/{options.cluster}/hsm-identity"
        # Pages may be empty although more follow (F6.96).
        pages = boto3.client("ssm").get_paginator("get_parameters_by_path")
        document = pages.paginate(Path=path).build_full_result()
    else:
        document = json.loads(options.file.read_text())
    certificates = certificates_in(document)
    if CSR not in certificates:
        sys.exit("There are no certificates: the cluster was restored, or is already initialized.")
    given = options.manufacturer_root.read_text() if options.manufacturer_root else ""
    ours = by_our_code(certificates, options.roots, given)
    openssls = by_openssl(certificates, options.roots, given)
    print(f"this project: {': '.join(ours)}")
    print(f"openssl:      {': '.join(openssls)}")
    agree = _SAME.get(ours[0], ours[0]) == openssls[0]
    print("They agree." if agree else "They DISAGREE.")
    is_genuine = ours[0] in (
        hsm_identity.VERIFIED,
        hsm_identity.ROOT_EXPIRED,
        hsm_identity.AWS_CHAIN_ONLY,
    )
    sys.exit(0 if agree and is_genuine else 1)


if __name__ == "__main__":
    main()
