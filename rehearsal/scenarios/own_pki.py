"""The operator's own PKI issues the cluster's certificate: docs/external-pki.md, lived through."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from localaws.client import ROOT
from rehearsal.drivers.operator import delete_secret, read_secret, secret_name, store_secret
from rehearsal.drivers.stack import LEFT_WITH_BACKUPS, StackDriver
from rehearsal.test_ca import make_ca, sign

Pair = tuple[str, str]
PAGE = ROOT / "docs" / "external-pki.md"
BEFORE = "The cluster is already activated."
NO_CA = x509.BasicConstraints(ca=False, path_length=None)


def own_pki(driver: StackDriver) -> None:
    """Your own PKI signs the request, as the page says; HSMs that were asked for come after it."""
    with driver.step("Create, and wait for certificates"):
        driver.request(pUseExternalPkiProcess="true")
        _expect_waiting(driver, "CREATE_COMPLETE")
        csr = driver.cluster()["Certificates"]["ClusterCsr"]
        driver.expect("stored request", read_secret(driver, "cluster-csr"), csr)
        told = driver.stack.outputs()
        driver.expect("oClusterState", told["oClusterState"], "UNINITIALIZED")
        driver.expect("oCsrSecretName", told["oCsrSecretName"], secret_name(driver, "cluster-csr"))
        for word in (*told["oCsrSecretName"].split(), "pExternallyProvidedCertsReady=true"):
            driver.expect(f"{word} in oNextStep", word in told["oNextStep"], True)

    with driver.step("Ask for 2 HSMs per subnet: later"):
        driver.request(pHsmsPerSubnet=2)
        _expect_waiting(driver, "UPDATE_COMPLETE")

    with driver.step("Sign, store, update"):
        _do_as_the_page_says(driver)
        certificate = read_secret(driver, "cluster-cert")
        driver.request(pExternallyProvidedCertsReady="true")
        driver.expect_stack("UPDATE_COMPLETE")
        cluster = driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        used = cluster["Certificates"]["ClusterCertificate"]
        driver.expect("certificate", used.strip(), certificate.strip())
        driver.expect("oNextStep", driver.stack.outputs()["oNextStep"], "none")

    with driver.step("Update again: nothing"), driver.untouched():
        driver.request(pReconcile="again")
        driver.expect_stack("UPDATE_COMPLETE")

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def own_pki_with_a_chain(driver: StackDriver) -> None:
    """An ECDSA authority below an RSA root signs the request, whose secret had been deleted."""
    with driver.step("Create, and wait for certificates"):
        driver.request(pUseExternalPkiProcess="true")
        _expect_waiting(driver, "CREATE_COMPLETE")

    with driver.step("Secrets are deleted, and made again"):
        for kind in ("cluster-csr", "cluster-cert", "initial-crypto-officer-password"):
            delete_secret(driver, kind)
        driver.request(pReconcile="secrets")
        _expect_waiting(driver, "UPDATE_COMPLETE")
        csr = driver.cluster()["Certificates"]["ClusterCsr"]
        driver.expect("stored request", read_secret(driver, "cluster-csr"), csr)

    with driver.step("Sign, store, update"):
        _, root = _sign_as_in_the_example(driver, "rsa")
        certificate, chain = _sign_as_in_the_example(driver, "ec", "chain")
        driver.expect("the chain ends in the root", chain.endswith(root) and chain != root, True)
        _store(driver, (certificate, chain))
        driver.request(pExternallyProvidedCertsReady="true")
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def own_pki_refused(driver: StackDriver) -> None:
    """Certificates that will not do are refused one by one; then the activation is what fails."""
    with driver.step("Create, and wait for certificates"):
        driver.request(pUseExternalPkiProcess="true")
        _expect_waiting(driver, "CREATE_COMPLETE")

    with driver.step("Update before anything is stored"):
        _expect_refused(driver, "cluster-cert does not exist or holds no text")

    for what, pair, sentence in _unfit(driver):
        with driver.step(f"Update with {what}"):
            _store(driver, pair)
            _expect_refused(driver, sentence)

    with driver.step("The first HSM is replaced: another request"):
        signed = _sign_as_in_the_example(driver, "ec")
        _store(driver, signed)
        driver.admin.act("replace_hsm", hsm_id=driver.cluster()["Hsms"][0]["HsmId"])
        _expect_refused(driver, "is of another key than the cluster's signing request")

    with driver.step("The first HSM turns DEGRADED: another HSM, and its request"):
        _store(driver, _sign_as_in_the_example(driver, "ec"))
        lost = driver.cluster()["Hsms"][0]
        driver.admin.act("degrade_hsm", hsm_id=lost["HsmId"])
        driver.request(pExternallyProvidedCertsReady="true")
        _expect_waiting(driver, "UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("is of another key than the cluster's signing request")
        there = [hsm for hsm in driver.cluster()["Hsms"] if hsm["State"] == "ACTIVE"]
        driver.expect(
            "the lost one is there", lost["HsmId"] in [hsm["HsmId"] for hsm in there], False
        )
        csr = driver.cluster()["Certificates"]["ClusterCsr"]
        driver.expect("stored request", read_secret(driver, "cluster-csr"), csr)

    with driver.step("Sign that one, but the activation fails"):
        _store(driver, _sign_as_in_the_example(driver, "ec"))
        driver.fault(script="ActivateCluster", exit=1, stderr="no route to HSM")
        driver.request(pExternallyProvidedCertsReady="true")
        _expect_initialized_once(driver, "ActivateCluster", "no route to HSM")

    with driver.step("Update again: it is activated, but nobody hears of it"):
        # Each command is looked at twice: the CLI's installation, its configuration, and this one.
        refusal = {"code": "InvalidPluginName", "message": "The result is gone."}
        driver.fault(operation="GetCommandInvocation", skip=5, **refusal)
        driver.request(pExternallyProvidedCertsReady="true")
        _expect_initialized_once(driver, "GetCommandInvocation", "The result is gone.")
        driver.expect("activations", _count(driver, "activate"), 1)

    with driver.step("Update again: it was activated before"):
        driver.request(pExternallyProvidedCertsReady="true")
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        driver.expect("last activation", _last_words(driver, "ActivateCluster"), BEFORE)
        for once in ("InitializeCluster", "activate"):
            driver.expect(f"calls of {once}", _count(driver, once), 1)

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def own_pki_given_up(driver: StackDriver) -> None:
    """The operator's PKI is not to be had after all: an update has the certificate issued here."""
    with driver.step("Create, and wait for certificates"):
        driver.request(pUseExternalPkiProcess="true")
        _expect_waiting(driver, "CREATE_COMPLETE")

    with driver.step("Without an own PKI"):
        driver.request(pUseExternalPkiProcess="false")
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def _unfit(driver: StackDriver) -> Iterator[tuple[str, Pair, str]]:
    """What an operator could store, what that is, and what the refusal says of it."""
    now, csr = driver.admin.clock()["now"], read_secret(driver, "cluster-csr")
    root = make_ca(now, name="root")
    issuer = make_ca(now, name="issuer", issuer=root)
    good = sign(issuer, csr, now), issuer.pem + root.pem
    yield "a placeholder", ("to be replaced", good[1]), "cluster-cert is not a certificate in PEM"
    another = sign(issuer, csr, now, key=ec.generate_private_key(ec.SECP256R1()))
    yield "another key's certificate", (another, good[1]), "cluster-cert is of another key"
    yield (
        "another CA",
        (good[0], make_ca(now, name="issuer").pem),
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
        _self_issued(now, csr, extensions=(NO_CA,)),
        "is not a CA certificate: basic constraints say CA:FALSE",
    )
    yield (
        "an expired CA",
        _self_issued(now, csr, starts=-30, lasts=-1),
        "customer-ca-cert expired on",
    )
    yield (
        "a certificate that is not valid yet",
        (sign(issuer, csr, now, starts=30), good[1]),
        "cluster-cert is not valid before",
    )


def _self_issued(now: float, csr: str, **ca: object) -> Pair:
    """The certificate and the CA's, of a root like that."""
    root = make_ca(now, **ca)  # type: ignore[arg-type]  # what make_ca takes
    return sign(root, csr, now), root.pem


def _do_as_the_page_says(driver: StackDriver) -> None:
    """Take the request, sign it and store what comes of it, by the page's own commands."""
    place = driver.aws.scratch / "as-the-page-says"
    place.mkdir()
    (place / "scripts").symlink_to(ROOT / "scripts")
    commands = "".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL))
    script = f"cd {place}; CSR_SECRET={secret_name(driver, 'cluster-csr')}\n{commands}"
    done = driver.aws.run("bash", "-euc", script)
    driver.expect(f"the page's commands {done.stderr}", done.returncode, 0)


def _sign_as_in_the_example(driver: StackDriver, *options: str) -> Pair:
    """The cluster's certificate and the CA's, made by scripts/sign_csr.sh; a PKI for each step."""
    directory = driver.aws.scratch / f"pki-{len(driver.steps)}"
    directory.mkdir(exist_ok=True)
    request: Path = directory / "cluster.csr"
    request.write_text(read_secret(driver, "cluster-csr"))
    done = driver.aws.run("scripts/sign_csr.sh", str(request), str(directory), *options)
    driver.expect(f"sign_csr.sh {done.stderr}", done.returncode, 0)
    certificate, ca_certificate = directory / "cluster-cert.pem", directory / "customer-ca-cert.pem"
    return certificate.read_text(), ca_certificate.read_text()


def _store(driver: StackDriver, pair: Pair) -> None:
    for kind, text in zip(("cluster-cert", "customer-ca-cert"), pair, strict=True):
        store_secret(driver, kind, text)


def _expect_waiting(driver: StackDriver, status: str) -> None:
    driver.expect_stack(status)
    driver.expect_cluster(state="UNINITIALIZED", hsms=1, zones=1)


def _expect_initialized_once(driver: StackDriver, *words: str) -> None:
    """An update failed after the initialization, which nothing takes back, and was undone."""
    driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    driver.expect_reason(*words)
    driver.expect_cluster(state="INITIALIZED", hsms=1, zones=1)
    driver.expect("initializations", _count(driver, "InitializeCluster"), 1)


def _count(driver: StackDriver, event: str) -> int:
    return sum(each["event"] == event for each in driver.admin.event_log())


def _last_words(driver: StackDriver, document: str) -> str:
    """What the script of this document, named in part, printed when it ran last."""
    ssm = driver.aws.client("ssm")
    commands = [
        command
        for command in ssm.list_commands()["Commands"]
        if document in command["DocumentName"]
    ]
    last = max(commands, key=lambda command: command["RequestedDateTime"])
    [found] = ssm.list_command_invocations(CommandId=last["CommandId"], Details=True)[
        "CommandInvocations"
    ]
    return str(found["CommandPlugins"][0]["Output"]).strip()


def _expect_refused(driver: StackDriver, sentence: str) -> None:
    """An update that says the certificates are ready is refused in these words, and undone."""
    with driver.cluster_untouched():
        driver.request(pExternallyProvidedCertsReady="true")
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason(sentence)
