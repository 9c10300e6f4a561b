"""The operator's PKI issues the cluster's certificate, as docs/external-pki.md describes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from localaws.client import ROOT
from rehearsal.drivers.operator import delete_secret, read_secret, secret_name, store_secret
from rehearsal.drivers.stack import RETAINED_WITH_BACKUPS, StackDriver
from rehearsal.test_ca import make_ca, sign

# The cluster's certificate and the CA's, or a chain, in PEM.
Pair = tuple[str, str]
PAGE = ROOT / "docs" / "external-pki.md"
ANOTHER_KEY = "does not match the cluster's certificate signing request"
NOT_A_CA = x509.BasicConstraints(ca=False, path_length=None)


def external_pki(driver: StackDriver) -> None:
    """An external PKI signs the CSR as documented; HSMs requested meanwhile follow activation."""
    with driver.step("Create, and wait for certificates"):
        driver.request(pUseExternalPkiProcess="true")
        _expect_waiting(driver, "CREATE_COMPLETE")
        csr = driver.cluster()["Certificates"]["ClusterCsr"]
        driver.expect("stored CSR", read_secret(driver, "cluster-csr"), csr)
        outputs = driver.stack.outputs()
        driver.expect("oClusterState", outputs["oClusterState"], "UNINITIALIZED")
        secret = secret_name(driver, "cluster-csr")
        driver.expect("oCsrSecretName", outputs["oCsrSecretName"], secret)
        driver.expect_in(
            "oNextStep", outputs["oNextStep"], secret, "pExternallyProvidedCertsReady=true"
        )

    with driver.step("Request 2 HSMs per subnet: deferred"):
        driver.request(pHsmsPerSubnet=2)
        _expect_waiting(driver, "UPDATE_COMPLETE")

    with driver.step("Sign, store, update"):
        _follow_the_page(driver)
        certificate = read_secret(driver, "cluster-cert")
        driver.request(pExternallyProvidedCertsReady="true")
        driver.expect_stack("UPDATE_COMPLETE")
        cluster = driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        used = cluster["Certificates"]["ClusterCertificate"]
        driver.expect("certificate", used.strip(), certificate.strip())
        driver.expect("oNextStep", driver.stack.outputs()["oNextStep"], "none")

    with driver.step("Reconcile: no changes"), driver.expect_no_changes():
        driver.request(pReconcile="again")
        driver.expect_stack("UPDATE_COMPLETE")

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def external_pki_chain(driver: StackDriver) -> None:
    """An ECDSA CA below an RSA root signs the CSR, after its deleted secret was recreated."""
    with driver.step("Create, and wait for certificates"):
        driver.request(pUseExternalPkiProcess="true")
        _expect_waiting(driver, "CREATE_COMPLETE")

    with driver.step("Secrets are deleted, and recreated"):
        for kind in ("cluster-csr", "cluster-cert", "initial-crypto-officer-password"):
            delete_secret(driver, kind)
        driver.request(pReconcile="secrets")
        _expect_waiting(driver, "UPDATE_COMPLETE")
        csr = driver.cluster()["Certificates"]["ClusterCsr"]
        driver.expect("stored CSR", read_secret(driver, "cluster-csr"), csr)

    with driver.step("Sign, store, update"):
        _, root = _sign_with_script(driver, "rsa")
        certificate, chain = _sign_with_script(driver, "ec", "chain")
        driver.expect("the chain ends in the root", chain.endswith(root) and chain != root, True)
        _store(driver, (certificate, chain))
        driver.request(pExternallyProvidedCertsReady="true")
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def external_pki_rejected(driver: StackDriver) -> None:
    """Invalid certificates are rejected one by one; a failed activation is retried."""
    with driver.step("Create, and wait for certificates"):
        driver.request(pUseExternalPkiProcess="true")
        _expect_waiting(driver, "CREATE_COMPLETE")

    with driver.step("Update without certificates"):
        _expect_rejected(driver, "cluster-cert does not exist or has no text value")

    for what, pair, message in _invalid_pairs(driver):
        with driver.step(f"Update with {what}"):
            _store(driver, pair)
            _expect_rejected(driver, message)

    with driver.step("AWS replaces the first HSM: the CSR changes"):
        _store(driver, _sign_with_script(driver, "ec"))
        driver.admin.aws_event("replace_hsm", hsm_id=driver.cluster()["Hsms"][0]["HsmId"])
        _expect_rejected(driver, ANOTHER_KEY)

    _degrade_first_hsm(driver)

    with driver.step("Sign the new CSR: activation fails"):
        _store(driver, _sign_with_script(driver, "ec"))
        driver.fault(script="ActivateCluster", exit=1, stderr="no route to HSM")
        driver.request(pExternallyProvidedCertsReady="true")
        _expect_initialized_once(driver, "ActivateCluster", "no route to HSM")

    with driver.step("Update again: activated, although the result is lost"):
        # The third command, after the CLI's installation and its configuration.
        driver.fault(operation="SendCommand", skip=2, pause=True)
        driver.start(pExternallyProvidedCertsReady="true")
        with driver.while_paused():
            driver.fault(
                operation="GetCommandInvocation",
                code="InvalidPluginName",
                message="The result is gone.",
            )
        driver.wait()
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        for operation in ("InitializeCluster", "activate"):
            driver.expect(f"calls of {operation}", len(driver.events(operation)), 1)

    with driver.step("A CA's private key is added to the certificate: rejected"):
        certificates = read_secret(driver, "customer-ca-cert")
        key = make_ca(driver.admin.clock()["now"]).key_pem
        store_secret(driver, "customer-ca-cert", certificates + key)
        with driver.expect_no_cluster_changes():
            driver.request(pReconcile="with a private key")
            driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
            driver.expect_reason("customer-ca-cert contains a PRIVATE KEY")
        store_secret(driver, "customer-ca-cert", certificates)

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def external_pki_abandoned(driver: StackDriver) -> None:
    """The operator gives up on an external PKI: the workflow issues the certificate itself."""
    with driver.step("Create, and wait for certificates"):
        driver.request(pUseExternalPkiProcess="true")
        _expect_waiting(driver, "CREATE_COMPLETE")

    with driver.step("Update without external PKI"):
        driver.request(pUseExternalPkiProcess="false")
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def _degrade_first_hsm(driver: StackDriver) -> None:
    """A step in which the HSM that awaits its certificate is replaced, and its CSR changes."""
    with driver.step("The first HSM becomes DEGRADED: another HSM and CSR"):
        _store(driver, _sign_with_script(driver, "ec"))
        lost = driver.cluster()["Hsms"][0]
        driver.admin.aws_event("degrade_hsm", hsm_id=lost["HsmId"])
        driver.request(pExternallyProvidedCertsReady="true")
        _expect_waiting(driver, "UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason(ANOTHER_KEY)
        active = [hsm["HsmId"] for hsm in driver.cluster()["Hsms"] if hsm["State"] == "ACTIVE"]
        driver.expect("lost HSM is ACTIVE", lost["HsmId"] in active, False)
        csr = driver.cluster()["Certificates"]["ClusterCsr"]
        driver.expect("stored CSR", read_secret(driver, "cluster-csr"), csr)


def _invalid_pairs(driver: StackDriver) -> Iterator[tuple[str, Pair, str]]:
    """Invalid certificates an operator could store: title, certificates, failure reason."""
    now, csr = driver.admin.clock()["now"], read_secret(driver, "cluster-csr")
    root = make_ca(now, name="root")
    issuer = make_ca(now, name="issuer", issuer=root)
    valid = sign(issuer, csr, now), issuer.pem + root.pem
    yield "a placeholder", ("to be replaced", valid[1]), "cluster-cert is not a PEM certificate"
    other = sign(issuer, csr, now, key=ec.generate_private_key(ec.SECP256R1()))
    private_key = "contains a PRIVATE KEY"
    yield "a private key in cluster-cert", (issuer.key_pem, valid[1]), private_key
    yield "a CA's private key", (valid[0], issuer.pem + issuer.key_pem), private_key
    yield "another key's certificate", (other, valid[1]), "cluster-cert does not match"
    yield (
        "another CA",
        (valid[0], make_ca(now, name="issuer").pem),
        "cluster-cert was not signed by the first certificate of customer-ca-cert",
    )
    middle = make_ca(now, name="middle", issuer=root)
    lowest = make_ca(now, name="lowest", issuer=middle)
    yield (
        "a chain in the wrong order",
        (sign(lowest, csr, now), lowest.pem + root.pem + middle.pem),
        "Certificate 1 of customer-ca-cert was not signed by the next one",
    )
    yield (
        "a CA without CA:TRUE",
        _signed_by_root(now, csr, extensions=(NOT_A_CA,)),
        "is not a CA certificate: basic constraints say CA:FALSE",
    )
    yield (
        "an expired CA",
        _signed_by_root(now, csr, starts=-30, lasts=-1),
        "customer-ca-cert expired on",
    )
    yield (
        "a certificate that is not yet valid",
        (sign(issuer, csr, now, starts=30), valid[1]),
        "cluster-cert is not valid before",
    )


def _signed_by_root(now: float, csr: str, **ca: object) -> Pair:
    """The certificate for a CSR and that of its issuer, a root CA with these properties."""
    root = make_ca(now, **ca)  # type: ignore[arg-type]  # arguments of make_ca
    return sign(root, csr, now), root.pem


def _follow_the_page(driver: StackDriver) -> None:
    """Run the page's commands: fetch the CSR, sign it, store the certificates."""
    directory = driver.aws.scratch / "external-pki-page"
    directory.mkdir()
    (directory / "scripts").symlink_to(ROOT / "scripts")
    commands = "".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL))
    script = f"cd {directory}; CSR_SECRET={secret_name(driver, 'cluster-csr')}\n{commands}"
    done = driver.aws.run("bash", "-euc", script)
    driver.expect(f"the page's commands {done.stderr}", done.returncode, 0)


def _sign_with_script(driver: StackDriver, *options: str) -> Pair:
    """Sign the CSR with scripts/sign_csr.sh, with a new PKI in each step."""
    directory = driver.aws.scratch / f"pki-{len(driver.steps)}"
    directory.mkdir(exist_ok=True)
    csr: Path = directory / "cluster.csr"
    csr.write_text(read_secret(driver, "cluster-csr"))
    done = driver.aws.run("scripts/sign_csr.sh", str(csr), str(directory), *options)
    driver.expect(f"sign_csr.sh {done.stderr}", done.returncode, 0)
    certificate, ca_certificate = directory / "cluster-cert.pem", directory / "customer-ca-cert.pem"
    return certificate.read_text(), ca_certificate.read_text()


def _store(driver: StackDriver, pair: Pair) -> None:
    for kind, text in zip(("cluster-cert", "customer-ca-cert"), pair, strict=True):
        store_secret(driver, kind, text)


def _expect_waiting(driver: StackDriver, status: str) -> None:
    driver.expect_stack(status)
    driver.expect_cluster(state="UNINITIALIZED", hsms=1, zones=1)


def _expect_rejected(driver: StackDriver, message: str) -> None:
    """An update with the stored certificates fails with this message and changes nothing."""
    with driver.expect_no_cluster_changes():
        driver.request(pExternallyProvidedCertsReady="true")
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason(message)


def _expect_initialized_once(driver: StackDriver, *reason: str) -> None:
    """The update failed after initialization, which a rollback cannot undo."""
    driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    driver.expect_reason(*reason)
    driver.expect_cluster(state="INITIALIZED", hsms=1, zones=1)
    driver.expect("initializations", len(driver.events("InitializeCluster")), 1)
