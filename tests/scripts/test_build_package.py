from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from scripts import build_package
from scripts.build_package import PackageError

ROOT = Path(__file__).parents[2]
LAMBDA_ZIP = ROOT / "build" / "functions.zip"
LOCAL_ZIP = ROOT / "build" / "rehearsal" / "build" / "functions.zip"
LAMBDA_LIMIT = 8_000_000  # bytes, far below the 50 MB that Lambda allows
# What Lambda's runtime provides: boto3 and its dependencies.
RUNTIME = ["boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six.py", "urllib3"]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    package = tmp_path / "functions" / "thing"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "work.py").write_text("print('work')\n")
    (package / "__pycache__" / "work.cpython-313.pyc").write_bytes(b"code")
    return package


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    directory = tmp_path / "wheels"
    directory.mkdir()
    put_wheel(
        directory / "needed-1.0-py3-none-any.whl",
        "needed/__init__.py",
        "needed/data.cfg",
        "needed/__init__.pyi",
        "needed/py.typed",
        "needed/tests/test_it.py",
        "needed-1.0.dist-info/RECORD",
        "needed-1.0.dist-info/METADATA",
        "needed-1.0.dist-info/licenses/LICENSE",
    )
    return directory


def test_other_roots_replace_those_that_the_package_has(
    sources: Path, wheels: Path, tmp_path: Path
) -> None:
    # A released version may be older than the roots.
    others = tmp_path / "others"
    others.mkdir()
    (others / "aws.pem").write_text("other")
    build_package.build(sources, wheels, tmp_path / "without.zip", others)
    assert [name for name in names_in(tmp_path / "without.zip") if "roots" in name] == []
    (sources / "roots").mkdir()
    (sources / "roots" / "aws.pem").write_text("own")
    build_package.build(sources, wheels, tmp_path / "with.zip", others)
    with zipfile.ZipFile(tmp_path / "with.zip") as archive:
        assert archive.read("thing/roots/aws.pem") == b"other"


def put_wheel(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as wheel:
        for name in names:
            wheel.writestr(name, name)


def names_in(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_the_zip_contains_code_data_and_licences_sorted(
    sources: Path, wheels: Path, tmp_path: Path
) -> None:
    build_package.build(sources, wheels, tmp_path / "out.zip")
    assert names_in(tmp_path / "out.zip") == [
        "needed-1.0.dist-info/licenses/LICENSE",
        "needed/__init__.py",
        "needed/data.cfg",
        "thing/__init__.py",
        "thing/work.py",
    ]


def test_builds_are_reproducible(sources: Path, wheels: Path, tmp_path: Path) -> None:
    build_package.build(sources, wheels, tmp_path / "first.zip")
    for path in [*sources.rglob("*"), *wheels.iterdir()]:
        os.utime(path, (10**9, 10**9))
        path.chmod(0o777)
    build_package.build(sources, wheels, tmp_path / "second.zip")
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()


def test_every_entry_has_a_readable_mode_and_a_fixed_time(
    sources: Path, wheels: Path, tmp_path: Path
) -> None:
    build_package.build(sources, wheels, tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        for entry in archive.infolist():
            assert entry.external_attr >> 16 & 0o777 == 0o644
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)


def test_sources_that_are_not_a_package_are_rejected(wheels: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="not a Python package"):
        build_package.build(tmp_path, wheels, tmp_path / "out.zip")


def test_missing_wheels_are_rejected(sources: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="make setup"):
        build_package.build(sources, tmp_path, tmp_path / "out.zip")


def test_two_wheels_with_the_same_file_are_rejected(
    sources: Path, wheels: Path, tmp_path: Path
) -> None:
    put_wheel(wheels / "other-1.0-py3-none-any.whl", "needed/__init__.py")
    with pytest.raises(PackageError, match=r"both contain needed/__init__\.py"):
        build_package.build(sources, wheels, tmp_path / "out.zip")


def test_a_failed_build_leaves_no_file(sources: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="make setup"):
        build_package.main([str(tmp_path), str(tmp_path / "out.zip")])
    assert not list(tmp_path.glob("out.zip*"))


# ---- the zips built by make


@pytest.mark.parametrize("path", [LAMBDA_ZIP, LOCAL_ZIP], ids=["lambda", "local"])
def test_the_built_zip_is_small_and_contains_only_what_runs(path: Path) -> None:
    assert path.stat().st_size < LAMBDA_LIMIT
    unneeded = (".pyc", ".pyi", "RECORD", "py.typed")
    assert [name for name in names_in(path) if name.endswith(unneeded) or "/tests/" in name] == []


def test_the_lambda_zip_contains_binaries_only_for_python_3_13_on_x86_64() -> None:
    names = [name for name in names_in(LAMBDA_ZIP) if name.endswith(".so")]
    assert sorted(name.rpartition("/")[2] for name in names) == [
        "_cffi_backend.cpython-313-x86_64-linux-gnu.so",
        "_rust.abi3.so",
    ]
    with zipfile.ZipFile(LAMBDA_ZIP) as archive:
        for name in names:
            header = archive.read(name)[:20]
            assert header[:4] == b"\x7fELF"
            assert int.from_bytes(header[18:20], "little") == 62  # EM_X86_64


def test_the_rehearsal_zip_contains_the_sources_that_ship() -> None:
    def sources(path: Path) -> dict[str, str]:
        with zipfile.ZipFile(path) as archive:
            return {
                name: hashlib.sha256(archive.read(name)).hexdigest()
                for name in archive.namelist()
                if name.startswith("hsm_lifecycle/")
            }

    def without_roots(found: dict[str, str]) -> dict[str, str]:
        return {name: sha256 for name, sha256 in found.items() if not name.endswith(".pem")}

    # A rehearsal pins the roots of the local AWS.
    assert without_roots(sources(LAMBDA_ZIP)) == without_roots(sources(LOCAL_ZIP))
    assert sources(LAMBDA_ZIP).keys() == sources(LOCAL_ZIP).keys()
    assert sources(LAMBDA_ZIP) == {
        name: hashlib.sha256(body).hexdigest()
        for name, body in build_package.contents_of_sources(
            ROOT / "functions" / "hsm_lifecycle"
        ).items()
    }


def test_both_zips_contain_the_same_packages() -> None:
    def pure(path: Path) -> set[str]:
        return {name for name in names_in(path) if not name.endswith((".so", ".pyd", ".dylib"))}

    assert pure(LAMBDA_ZIP) == pure(LOCAL_ZIP)


def test_the_zip_imports_and_signs_with_only_the_lambda_runtime(tmp_path: Path) -> None:
    with zipfile.ZipFile(LOCAL_ZIP) as archive:
        archive.extractall(tmp_path / "function")
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    for name in RUNTIME:
        (runtime / name).symlink_to(Path(sysconfig.get_path("purelib")) / name)
    program = """
        import importlib, pathlib, sys
        here = pathlib.Path(sys.argv[1])
        for path in sorted((here / "hsm_lifecycle").rglob("*.py")):
            importlib.import_module(".".join(path.relative_to(here).with_suffix("").parts))
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, rsa
        for key in rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1()):
            name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
            csr = x509.CertificateSigningRequestBuilder(name).sign(key, hashes.SHA256())
            assert csr.is_signature_valid
        import crhelper, cryptography
        assert all(pathlib.Path(m.__file__).is_relative_to(here) for m in (crhelper, cryptography))
    """
    subprocess.run(
        [sys.executable, "-S", "-c", "if True:" + program, str(tmp_path / "function")],
        env={
            "PYTHONPATH": os.pathsep.join([str(tmp_path / "function"), str(runtime)]),
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        },
        check=True,
    )
