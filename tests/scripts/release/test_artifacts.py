from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from scripts import templates
from scripts.release import freeze
from scripts.release.artifacts import NAME, ArtifactError, Sources
from scripts.release.freeze import FreezeError
from tests.test_released import ROOT, digests, project_version

VERSION = project_version()


@pytest.fixture(scope="module", name="objects")
def _objects() -> dict[str, bytes]:
    return Sources(Path(), VERSION).objects("bucket")


def test_every_object_is_below_the_version_and_its_checksum_is_listed(
    objects: dict[str, bytes],
) -> None:
    prefix = f"{NAME}/{VERSION}/"
    assert [key for key in objects if not key.startswith(prefix)] == []
    *others, last = objects
    assert last == f"{prefix}SHA256SUMS"
    listed = dict(line.split("  ")[::-1] for line in objects[last].decode().splitlines())
    assert listed == {
        key.removeprefix(prefix): hashlib.sha256(objects[key]).hexdigest() for key in others
    }


def test_templates_refer_to_objects_of_the_release_by_their_sha256(
    objects: dict[str, bytes], tmp_path: Path
) -> None:
    referred = set()
    for path in templates.all_paths():
        (tmp_path / path.name).write_bytes(objects[f"{NAME}/{VERSION}/{path.name}"])
        for resource in templates.load(tmp_path / path.name)["Resources"].values():
            match resource.get("Properties", {}):
                case {"Code": {"S3Bucket": "bucket", "S3Key": key}}:
                    referred.add(key)
                case {"DefinitionS3Location": {"Bucket": "bucket", "Key": key}}:
                    referred.add(key)
                case {"Code": _} | {"DefinitionS3Location": _}:
                    pytest.fail(f"{path.name} refers to {resource}")
    artifacts = {key for key in objects if "/artifacts/" in key}
    assert referred == artifacts
    assert len(artifacts) == 1 + len([*Path("statemachines").glob("*.json")])
    digested = {key: hashlib.sha256(objects[key]).hexdigest() for key in artifacts}
    assert [key for key, digest in digested.items() if f"-{digest}." not in key] == []


def test_nothing_else_of_a_template_changes(objects: dict[str, bytes]) -> None:
    for path in templates.all_paths():
        released = objects[f"{NAME}/{VERSION}/{path.name}"].decode()
        location = re.compile(r"^( *(Code|DefinitionS3Location): ).*$", re.MULTILINE)
        assert location.sub(r"\1", released) == location.sub(r"\1", path.read_text())


def _catalog(bucket: str, directory: Path) -> str:
    text = Sources(Path(), VERSION).objects(bucket)[f"{NAME}/{VERSION}/{templates.CATALOG}"]
    (directory / templates.CATALOG).write_bytes(text)
    return text.decode()


def test_the_portfolio_is_released_with_its_bucket_as_default(tmp_path: Path) -> None:
    source = (ROOT / "templates" / templates.CATALOG).read_text()
    released = _catalog("my-artifacts", tmp_path)
    added = set(released.splitlines()) - set(source.splitlines())
    assert added == {'    Default: "my-artifacts"'}
    assert len(released.splitlines()) == len(source.splitlines()) + 1
    parameters = templates.load(tmp_path / templates.CATALOG)["Parameters"]
    assert parameters["pBucket"]["Default"] == "my-artifacts"
    assert re.fullmatch(parameters["pBucket"]["AllowedPattern"], "my-artifacts")
    # Those that a quick-create link and its reader have to give.
    assert [name for name, each in parameters.items() if "Default" not in each] == [
        *Sources(Path(), VERSION).parameters("service-catalog"),
        "pPrincipalArn",
    ]


def test_a_bucket_that_the_portfolio_cannot_have_is_no_default(tmp_path: Path) -> None:
    _catalog("with.dots", tmp_path)
    pattern = templates.load(tmp_path / templates.CATALOG)["Parameters"]["pBucket"]
    assert "Default" not in pattern
    assert not re.fullmatch(pattern["AllowedPattern"], "with.dots")


def test_a_version_that_the_sources_do_not_have_is_refused() -> None:
    with pytest.raises(ArtifactError, match=f"VERSION=9.9.9, but pyproject.toml has {VERSION}"):
        Sources(Path(), "9.9.9").check()
    Sources(Path(), VERSION).check()


def _copy(tmp_path: Path, old: str, new: str, name: str = "cloudhsm.yml") -> Sources:
    shutil.copytree("templates", tmp_path / "templates")
    shutil.copytree("statemachines", tmp_path / "statemachines")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "functions.zip").write_bytes(b"zip")
    template = tmp_path / "templates" / name
    template.write_text(template.read_text().replace(old, new, 1))
    return Sources(tmp_path, VERSION)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Code: ../build/functions.zip", "Code: ../build/nothing.zip", "run `make build`"),
        ("Description: >-", "TemplateURL: ../nested.yml\nDescription: >-", "would refer to local"),
        ("Description: >-", f"# {'x' * 1_000_000}\nDescription: >-", "more than 1000000 bytes"),
    ],
)
def test_what_could_not_be_deployed_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(ArtifactError, match=message):
        _copy(tmp_path, old, new).objects("bucket")


def test_a_portfolio_without_a_place_for_its_bucket_is_refused(tmp_path: Path) -> None:
    sources = _copy(tmp_path, "  pBucket:\n", "  pPlace:\n", templates.CATALOG)
    with pytest.raises(ArtifactError, match="declares no parameter pBucket"):
        sources.objects("bucket")


def test_a_frozen_version_is_what_ships(tmp_path: Path) -> None:
    (tmp_path / "CHANGELOG.md").write_text(f"## [{VERSION}] - 2026-12-01\n")
    for name in freeze.SHIPPED:
        (tmp_path / name).symlink_to(ROOT / name)
    frozen = freeze.freeze(VERSION, tmp_path, tmp_path / "fixtures")
    # As test_released.py requires of each version, and of the project at this version.
    assert digests(frozen) == digests(ROOT)
    sums = dict(line.split("  ")[::-1] for line in (frozen / "SHA256SUMS").read_text().splitlines())
    assert sums == digests(frozen)
    hashes = tmp_path / "fixtures" / "hashes" / f"{VERSION}.txt"
    assert hashes.read_text() == (ROOT / freeze.HASHES).read_text()
    with pytest.raises(FreezeError, match="never edited"):
        freeze.freeze(VERSION, tmp_path, tmp_path / "fixtures")


def test_a_version_without_a_section_of_the_changelog_is_not_frozen(tmp_path: Path) -> None:
    (tmp_path / "CHANGELOG.md").write_text("## [Unreleased]\n")
    with pytest.raises(FreezeError, match="turn Unreleased into it"):
        freeze.freeze(VERSION, tmp_path, tmp_path / "fixtures")
