"""The script of ConfigureClient, run by bash with stubs: it installs only the cluster's CA."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hsm_lifecycle import pem
from rehearsal.test_ca import make_ca, sign
from tests.templates.template import TEMPLATES, Template

NOW = time.time()
SECRET = "/cloudhsm/cluster-2example3id/customer-ca-cert"
WRONG_CA = "it does not contain the CA of the cluster's certificate"
ROOT = make_ca(NOW, name="root")
ISSUER = make_ca(NOW, name="issuer", issuer=ROOT)
DENIED = "An error occurred (AccessDeniedException) when calling the GetSecretValue operation: User"


def _cluster_certificate() -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "HSM")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name)
    signed = request.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return sign(ISSUER, signed.public_bytes(serialization.Encoding.PEM).decode(), NOW)


CERTIFICATE = _cluster_certificate()


@dataclass(frozen=True)
class Client:
    """The directory that stands for the client's root."""

    root: Path
    script: str

    def run(self, secret: str, error: str = "", certificate: str = CERTIFICATE) -> str:
        """Run the script with this secret, or the AWS CLI's error; its last line."""
        (self.root / "secret").write_text(secret)
        (self.root / "error").write_text(error)
        values = {
            "CaCertificateSecret": SECRET,
            "ClusterCertificate": pem.body(certificate),
            "IpAddresses": "10.0.0.4 10.0.0.5",
            "Region": "us-east-1",
        }
        script = self.script.replace("/opt/cloudhsm", str(self.root / "cloudhsm"))
        for name, value in values.items():
            script = script.replace("{{ " + name + " }}", value)
        path = f"{self.root / 'bin'}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", script],
            env={"PATH": path, "ROOT": str(self.root), "TMPDIR": str(self.root / "tmp")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) == (done.stderr == ""), done.stderr
        return (done.stderr or done.stdout).strip().splitlines()[-1]

    def installed(self) -> str:
        """The installed CA certificates."""
        return (self.root / "cloudhsm/etc/customerCA.crt").read_text()


def _script(template: Template) -> str:
    document = template.resources["rConfigureClientDocument"]["Properties"]["Content"]
    return str(document["mainSteps"][0]["inputs"]["runCommand"][0])


@pytest.fixture(name="client", params=TEMPLATES, ids=str)
def _client(request: pytest.FixtureRequest, tmp_path: Path) -> Client:
    stubs = {
        "bin/cloud-init": "",
        "bin/aws": '[ ! -s "$ROOT/error" ] || { { echo; cat "$ROOT/error"; } >&2; exit 254; }\n'
        'cat "$ROOT/secret"; echo',
        "cloudhsm/bin/configure-cli": "",
    }
    for name, body in stubs.items():
        stub = tmp_path / name
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text(f"#!/bin/bash\n{body}\n")
        stub.chmod(0o755)
    for directory in ("cloudhsm/etc", "tmp"):
        (tmp_path / directory).mkdir()
    (tmp_path / "cloudhsm/etc/customerCA.crt").write_text("the one before")
    return Client(tmp_path, _script(request.param))


def test_it_installs_the_certificates_of_the_secret_alone(client: Client) -> None:
    for text in (
        ISSUER.pem + ROOT.pem,
        f"\n{ISSUER.pem}\n\n{ROOT.pem}".replace("\n", "\r\n"),
    ):
        assert client.run(text) == "Client configured for 10.0.0.4 10.0.0.5."
        assert client.installed() == ISSUER.pem + ROOT.pem
    assert list((client.root / "tmp").iterdir()) == []


def test_it_installs_them_although_aws_returns_no_cluster_certificate(client: Client) -> None:
    client.run(ROOT.pem, certificate="")
    assert client.installed() == ROOT.pem


def test_it_names_the_secret_and_leaves_the_client_unchanged(client: Client) -> None:
    bundle, key = ISSUER.pem + ROOT.pem, ROOT.key_pem
    refused: list[tuple[str, str]] = [
        (make_ca(NOW, name="issuer").pem, WRONG_CA),
        (make_ca(NOW, name="other").pem, WRONG_CA),
        (ISSUER.pem, WRONG_CA),
        (bundle + key, "it has text outside the PEM certificates"),
        (key + bundle, "it has text outside the PEM certificates"),
        (bundle.replace("-----END", f"{key}-----END", 1), "it does not contain a PEM certificate"),
        (bundle + "-----BEGIN CERTIFICATE-----", "it does not contain a PEM certificate"),
        ("junk", "it has text outside the PEM certificates"),
        ("", "it does not contain a PEM certificate"),
        ("None", "it has text outside the PEM certificates"),
    ]
    for text, message in refused:
        last = client.run(text)
        assert f"ecret {SECRET}: {message}" in last
        assert len(f"CommandFailed: ConfigureClient: {last} [cluster-2example3id]") <= 240
        assert client.installed() == "the one before"
    assert list((client.root / "tmp").iterdir()) == []


def test_it_tells_why_the_secret_cannot_be_read(client: Client) -> None:
    errors: dict[str, Callable[[str], bool]] = {
        DENIED: lambda last: "may not read it" in last and "User" not in last,
        "(ResourceNotFoundException)": lambda last: last.endswith(
            "it does not exist or has no value."
        ),
        "Could not connect": lambda last: last.endswith("Could not connect"),
    }
    for error, is_told in errors.items():
        last = client.run(ROOT.pem, error=error)
        assert f"ecret {SECRET}: " in last
        assert is_told(last)


def test_only_the_key_stores_script_names_parameters(tmp_path: Path) -> None:
    names = {
        template.path.name: [
            parameter
            for parameter in ("pCloudHsmCustCaCertSecretName", "pClientInstanceId")
            if parameter in _script(template)
        ]
        for template in TEMPLATES
    }
    assert names == {
        "cloudhsm.yml": [],
        "cloudhsm-key-store.yml": ["pCloudHsmCustCaCertSecretName", "pClientInstanceId"],
    }
