from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from hsm_lifecycle import pki

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "sign_csr.sh"


@pytest.fixture(name="request_file")
def _request_file(tmp_path: Path) -> Path:
    """A certificate signing request like those of clusters."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "HSM:0123456789ABCDEF")])
    key = rsa.generate_private_key(65537, 2048)
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    path = tmp_path / "cluster.csr"
    path.write_bytes(request.public_bytes(serialization.Encoding.PEM))
    return path


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=False)


def sign(request: Path, directory: Path, *options: str) -> tuple[str, str]:
    done = run(request, directory, *options)
    assert done.returncode == 0, done.stderr
    certificate, bundle = directory / "cluster-cert.pem", directory / "customer-ca-cert.pem"
    return certificate.read_text(), bundle.read_text()


def key_types(bundle: str) -> list[type]:
    """The key type of each certificate, the root's last."""
    kinds = (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)
    keys = [one.public_key() for one in x509.load_pem_x509_certificates(bundle.encode())]
    return [next(kind for kind in kinds if isinstance(key, kind)) for key in keys]


@pytest.mark.parametrize(
    ("options", "types"),
    [
        ((), [rsa.RSAPublicKey]),
        (("ec",), [ec.EllipticCurvePublicKey]),
        (("rsa", "chain"), [rsa.RSAPublicKey] * 2),
        (("ec", "chain"), [ec.EllipticCurvePublicKey] * 2),
    ],
)
def test_issued_certificates_pass_the_check_before_initialization(
    request_file: Path, tmp_path: Path, options: tuple[str, ...], types: list[type]
) -> None:
    certificate, bundle = sign(request_file, tmp_path / "pki", *options)
    pki.check(certificate, bundle, request_file.read_text())
    assert key_types(bundle) == types


def test_existing_cas_are_reused(request_file: Path, tmp_path: Path) -> None:
    root = sign(request_file, tmp_path, "ec", "root")[1]
    certificate, chain = sign(request_file, tmp_path, "rsa", "chain")
    assert chain.endswith(root)
    assert key_types(chain) == [rsa.RSAPublicKey, ec.EllipticCurvePublicKey]
    another, same_chain = sign(request_file, tmp_path, "ec", "chain")
    assert same_chain == chain
    assert another != certificate
    assert sign(request_file, tmp_path)[1] == root


def test_keys_are_readable_by_their_owner_only(request_file: Path, tmp_path: Path) -> None:
    sign(request_file, tmp_path / "pki", "ec", "chain")
    modes = [path.stat().st_mode & 0o077 for path in (tmp_path / "pki").glob("*.key")]
    assert modes == [0, 0]


@pytest.mark.parametrize(
    "arguments",
    ["", "REQUEST", "REQUEST PKI dsa", "REQUEST PKI rsa tree", "REQUEST PKI ec root more"],
)
def test_wrong_arguments_print_the_usage_and_create_nothing(
    request_file: Path, tmp_path: Path, arguments: str
) -> None:
    known = {"REQUEST": request_file, "PKI": tmp_path / "pki"}
    done = run(*(known.get(word, word) for word in arguments.split()))
    assert done.returncode == 2
    assert done.stderr == f"usage: {SCRIPT} REQUEST.csr DIRECTORY [rsa|ec] [root|chain]\n"
    assert not (tmp_path / "pki").exists()


def test_an_unreadable_request_is_reported_and_nothing_is_created(tmp_path: Path) -> None:
    done = run(tmp_path / "none.csr", tmp_path / "pki")
    assert done.returncode == 2
    assert done.stderr == f"{SCRIPT}: cannot read {tmp_path}/none.csr\n"
    assert not (tmp_path / "pki").exists()


def test_an_invalid_request_is_rejected_before_a_ca_is_created(tmp_path: Path) -> None:
    (tmp_path / "cluster.csr").write_text("not a request")
    assert run(tmp_path / "cluster.csr", tmp_path / "pki").returncode != 0
    assert not (tmp_path / "pki").exists()
