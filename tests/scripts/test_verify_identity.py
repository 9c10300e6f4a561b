from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hsm_lifecycle import pem
from localaws.services.cloudhsmv2 import hardware_roots, identities
from scripts import verify_identity

NOW = 1795824000.0


@pytest.fixture(name="roots")
def _roots(tmp_path: Path) -> Path:
    directory = tmp_path / "roots"
    hardware_roots.main([str(directory)])
    (directory / "hsm2m.crt").write_text(hardware_roots.manufacturer_of_hsm2m().pem)
    return directory


def described(fault: str = "", hsm_type: str = "hsm2m.medium") -> dict[str, Any]:
    """The output of describe-clusters about an HSM."""
    identity = identities.new("hsm-a", hsm_type, "FIPS", NOW, fault)
    return {"Clusters": [{"Certificates": dict(identity.certificates)}]}


def run(
    document: dict[str, Any], roots: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[object, str]:
    """The exit code and what is printed."""
    path = roots.parent / "document.json"
    path.write_text(json.dumps(document))
    with pytest.raises(SystemExit) as end:
        verify_identity.main([str(path), "--roots", str(roots), *options])
    return end.value.code, capsys.readouterr().out


@pytest.mark.parametrize(
    ("fault", "code", "verdicts"),
    [
        ("", 0, ("AWS_CHAIN_ONLY", "AWS_CHAIN_ONLY")),
        ("expired-root", 0, ("VERIFIED_ROOT_EXPIRED", "VERIFIED")),
        ("missing", 1, ("NOT_VERIFIED", "NOT_VERIFIED")),
        ("forged", 1, ("REFUSED: FORGED", "REFUSED: openssl verify refuses the chain of Aws")),
        ("wrong-root", 1, ("REFUSED: FORGED", "REFUSED: openssl verify refuses the chain of Aws")),
        ("other-csr", 1, ("REFUSED: MISMATCH", "REFUSED: the keys of ClusterCsr and HsmCer")),
    ],
)
def test_openssl_and_our_code_agree(
    roots: Path,
    capsys: pytest.CaptureFixture[str],
    fault: str,
    code: int,
    verdicts: tuple[str, str],
) -> None:
    found, printed = run(described(fault), roots, capsys)
    assert f"this project: {verdicts[0]}" in printed
    assert f"openssl:      {verdicts[1]}" in printed
    assert (found, printed.splitlines()[-1]) == (code, "They agree.")


def test_a_root_that_is_not_shipped_can_be_given(
    roots: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--manufacturer-root", str(roots / "hsm2m.crt"))
    code, printed = run(described(), roots, capsys, *given)
    assert (code, "this project: VERIFIED: " in printed) == (0, True)
    code, printed = run(described("other-hardware"), roots, capsys, *given)
    assert (code, printed.splitlines()[-1]) == (1, "They agree.")


def test_the_evidence_must_be_that_of_the_verdict(
    roots: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificates = described()["Clusters"][0]["Certificates"]
    hashes = {name: pem.digest(text) for name, text in certificates.items()}
    record = {"Verdict": "VERIFIED", "Detail": "d", "Time": "t", "Certificates": hashes}
    parameters = {**certificates, "Verdict": json.dumps(record)}
    document = {"Parameters": [{"Name": f"/s/c/{n}", "Value": v} for n, v in parameters.items()]}
    code, printed = run(document, roots, capsys)
    assert (code, printed.splitlines()[0]) == (0, "evidence:     VERIFIED: d (t)")
    document["Parameters"][0]["Value"] += "\n"
    code, _ = run(document, roots, capsys)
    assert "they were changed" in str(code)


def test_without_a_csr_there_is_nothing_to_verify(
    roots: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = run({"Clusters": [{"Certificates": {"ClusterCertificate": "x"}}]}, roots, capsys)
    assert "There are no certificates" in str(code)
