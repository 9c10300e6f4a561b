"""The operator's own PKI issues the cluster's certificate: docs/external-pki.md, lived through."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from rehearsal.by_hand import delete_secret, read_secret, secret_name, store_secret
from rehearsal.life import LEFT_WITH_BACKUPS, Life
from rehearsal.local_aws import ROOT
from rehearsal.pki import make_ca, sign

Pair = tuple[str, str]
PAGE = ROOT / "docs" / "external-pki.md"
BEFORE = "The cluster was activated before."
NO_CA = x509.BasicConstraints(ca=False, path_length=None)


def own_pki(life: Life) -> None:
    """Your own PKI signs the request, as the page says; HSMs that were asked for come after it."""
    with life.step("Create, and wait for certificates"):
        life.request(pUseExternalPkiProcess="true")
        _expect_waiting(life, "CREATE_COMPLETE")
        csr = life.cluster()["Certificates"]["ClusterCsr"]
        life.expect("stored request", read_secret(life, "cluster-csr"), csr)
        told = life.stack.outputs()
        life.expect("oClusterState", told["oClusterState"], "UNINITIALIZED")
        life.expect("oCsrSecretName", told["oCsrSecretName"], secret_name(life, "cluster-csr"))
        for word in (*told["oCsrSecretName"].split(), "pExternallyProvidedCertsReady=true"):
            life.expect(f"{word} in oNextStep", word in told["oNextStep"], True)

    with life.step("Ask for 2 HSMs per subnet: later"):
        life.request(pHsmsPerSubnet=2)
        _expect_waiting(life, "UPDATE_COMPLETE")

    with life.step("Sign, store, update"):
        _do_as_the_page_says(life)
        certificate = read_secret(life, "cluster-cert")
        life.request(pExternallyProvidedCertsReady="true")
        life.expect_stack("UPDATE_COMPLETE")
        cluster = life.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        used = cluster["Certificates"]["ClusterCertificate"]
        life.expect("certificate", used.strip(), certificate.strip())
        life.expect("oNextStep", life.stack.outputs()["oNextStep"], "none")

    with life.step("Update again: nothing"), life.untouched():
        life.request(pReconcile="again")
        life.expect_stack("UPDATE_COMPLETE")

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def own_pki_with_a_chain(life: Life) -> None:
    """An ECDSA authority below an RSA root signs the request, whose secret had been deleted."""
    with life.step("Create, and wait for certificates"):
        life.request(pUseExternalPkiProcess="true")
        _expect_waiting(life, "CREATE_COMPLETE")

    with life.step("Secrets are deleted, and made again"):
        for kind in ("cluster-csr", "cluster-cert", "initial-crypto-officer-password"):
            delete_secret(life, kind)
        life.request(pReconcile="secrets")
        _expect_waiting(life, "UPDATE_COMPLETE")
        csr = life.cluster()["Certificates"]["ClusterCsr"]
        life.expect("stored request", read_secret(life, "cluster-csr"), csr)

    with life.step("Sign, store, update"):
        _, root = _sign_as_in_the_example(life, "rsa")
        certificate, chain = _sign_as_in_the_example(life, "ec", "chain")
        life.expect("the chain ends in the root", chain.endswith(root) and chain != root, True)
        _store(life, (certificate, chain))
        life.request(pExternallyProvidedCertsReady="true")
        life.expect_stack("UPDATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def own_pki_refused(life: Life) -> None:
    """Certificates that will not do are refused one by one; then the activation is what fails."""
    with life.step("Create, and wait for certificates"):
        life.request(pUseExternalPkiProcess="true")
        _expect_waiting(life, "CREATE_COMPLETE")

    with life.step("Update before anything is stored"):
        _expect_refused(life, "cluster-cert does not exist or holds no text")

    for what, pair, sentence in _unfit(life):
        with life.step(f"Update with {what}"):
            _store(life, pair)
            _expect_refused(life, sentence)

    with life.step("The first HSM is replaced: another request"):
        signed = _sign_as_in_the_example(life, "ec")
        _store(life, signed)
        life.control.act("replace_hsm", hsm_id=life.cluster()["Hsms"][0]["HsmId"])
        _expect_refused(life, "is of another key than the cluster's signing request")

    with life.step("The first HSM turns DEGRADED: another HSM, and its request"):
        _store(life, _sign_as_in_the_example(life, "ec"))
        lost = life.cluster()["Hsms"][0]
        life.control.act("degrade_hsm", hsm_id=lost["HsmId"])
        life.request(pExternallyProvidedCertsReady="true")
        _expect_waiting(life, "UPDATE_ROLLBACK_COMPLETE")
        life.expect_reason("is of another key than the cluster's signing request")
        there = [hsm for hsm in life.cluster()["Hsms"] if hsm["State"] == "ACTIVE"]
        life.expect(
            "the lost one is there", lost["HsmId"] in [hsm["HsmId"] for hsm in there], False
        )
        csr = life.cluster()["Certificates"]["ClusterCsr"]
        life.expect("stored request", read_secret(life, "cluster-csr"), csr)

    with life.step("Sign that one, but the activation fails"):
        _store(life, _sign_as_in_the_example(life, "ec"))
        life.fault(script="ActivateCluster", exit=1, stderr="no route to HSM")
        life.request(pExternallyProvidedCertsReady="true")
        _expect_initialized_once(life, "ActivateCluster", "no route to HSM")

    with life.step("Update again: it is activated, but nobody hears of it"):
        # Each command is looked at twice: the CLI's installation, its configuration, and this one.
        refusal = {"code": "InvalidPluginName", "message": "The result is gone."}
        life.fault(operation="GetCommandInvocation", skip=5, **refusal)
        life.request(pExternallyProvidedCertsReady="true")
        _expect_initialized_once(life, "GetCommandInvocation", "The result is gone.")
        life.expect("activations", _count(life, "activate"), 1)

    with life.step("Update again: it was activated before"):
        life.request(pExternallyProvidedCertsReady="true")
        life.expect_stack("UPDATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        life.expect("last activation", _last_words(life, "ActivateCluster"), BEFORE)
        for once in ("InitializeCluster", "activate"):
            life.expect(f"calls of {once}", _count(life, once), 1)

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def own_pki_given_up(life: Life) -> None:
    """The operator's PKI is not to be had after all: an update has the certificate issued here."""
    with life.step("Create, and wait for certificates"):
        life.request(pUseExternalPkiProcess="true")
        _expect_waiting(life, "CREATE_COMPLETE")

    with life.step("Without an own PKI"):
        life.request(pUseExternalPkiProcess="false")
        life.expect_stack("UPDATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def _unfit(life: Life) -> Iterator[tuple[str, Pair, str]]:
    """What an operator could store, what that is, and what the refusal says of it."""
    now, csr = life.control.clock()["now"], read_secret(life, "cluster-csr")
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


def _do_as_the_page_says(life: Life) -> None:
    """Take the request, sign it and store what comes of it, by the page's own commands."""
    place = life.aws.scratch / "as-the-page-says"
    place.mkdir()
    (place / "scripts").symlink_to(ROOT / "scripts")
    commands = "".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL))
    script = f"cd {place}; CSR_SECRET={secret_name(life, 'cluster-csr')}\n{commands}"
    done = life.aws.run("bash", "-euc", script)
    life.expect(f"the page's commands {done.stderr}", done.returncode, 0)


def _sign_as_in_the_example(life: Life, *options: str) -> Pair:
    """The cluster's certificate and the CA's, made by scripts/sign_csr.sh; a PKI for each step."""
    directory = life.aws.scratch / f"pki-{len(life.steps)}"
    directory.mkdir(exist_ok=True)
    request: Path = directory / "cluster.csr"
    request.write_text(read_secret(life, "cluster-csr"))
    done = life.aws.run("scripts/sign_csr.sh", str(request), str(directory), *options)
    life.expect(f"sign_csr.sh {done.stderr}", done.returncode, 0)
    certificate, ca_certificate = directory / "cluster-cert.pem", directory / "customer-ca-cert.pem"
    return certificate.read_text(), ca_certificate.read_text()


def _store(life: Life, pair: Pair) -> None:
    for kind, text in zip(("cluster-cert", "customer-ca-cert"), pair, strict=True):
        store_secret(life, kind, text)


def _expect_waiting(life: Life, status: str) -> None:
    life.expect_stack(status)
    life.expect_cluster(state="UNINITIALIZED", hsms=1, zones=1)


def _expect_initialized_once(life: Life, *words: str) -> None:
    """An update failed after the initialization, which nothing takes back, and was undone."""
    life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    life.expect_reason(*words)
    life.expect_cluster(state="INITIALIZED", hsms=1, zones=1)
    life.expect("initializations", _count(life, "InitializeCluster"), 1)


def _count(life: Life, event: str) -> int:
    return sum(each["event"] == event for each in life.control.timeline())


def _last_words(life: Life, document: str) -> str:
    """What the script of this document, named in part, printed when it ran last."""
    ssm = life.aws.client("ssm")
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


def _expect_refused(life: Life, sentence: str) -> None:
    """An update that says the certificates are ready is refused in these words, and undone."""
    with life.cluster_untouched():
        life.request(pExternallyProvidedCertsReady="true")
        life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        life.expect_reason(sentence)
