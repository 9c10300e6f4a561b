"""The objects of a version in a bucket: the zip, state machines, templates and their checksums.

Keys of what templates refer to have the SHA-256 of the content: CloudFormation updates a function
only if its key is new (F7.208). The templates differ by bucket, since they name it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts import templates

NAME = "cloudhsm-cloudformation"
SUMS = "SHA256SUMS"
# The properties that name a file here, and the members that name an object in S3 instead.
LOCATIONS = {"Code": ("S3Bucket", "S3Key"), "DefinitionS3Location": ("Bucket", "Key")}
# Where the portfolio's template gets the bucket that it is released in as a default.
_BUCKET = re.compile(r"^  pBucket:\n    Type: String\n", re.MULTILINE)
_LOCAL = re.compile(rf"^( *)({'|'.join(LOCATIONS)}): (\.\./\S+)$", re.MULTILINE)
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
LARGEST_TEMPLATE = 1_000_000


class ArtifactError(Exception):
    """The sources are no release; the message says why."""


@dataclass(frozen=True)
class Sources:
    """A directory with templates, which name files relative to their own place."""

    root: Path
    version: str

    @property
    def prefix(self) -> str:
        """What the keys of this version begin with."""
        return f"{NAME}/{self.version}/"

    @property
    def paths(self) -> list[Path]:
        """The templates, also those that deploy nothing of this repository themselves."""
        return sorted((self.root / "templates").glob("*.yml"), key=lambda path: path.stem)

    def check(self) -> None:
        """Raise ArtifactError unless project and templates have this version."""
        project = tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"]
        found = {"pyproject.toml": project}
        for path in self.paths:
            for resource in templates.load(path)["Resources"].values():
                if version := resource.get("Properties", {}).get("TemplateVersion"):
                    found[str(path)] = version
        wrong = [f"{name} has {version}" for name, version in found.items()]
        if {*found.values()} != {self.version}:
            raise ArtifactError(f"VERSION={self.version}, but {', '.join(wrong)}.")

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Every object by key; the checksums last, so that they are uploaded last."""
        files: dict[str, bytes] = {}
        for path in self.paths:
            files |= self._with_artifacts(path, bucket)
        ordered = {name: files[name] for name in sorted(files, key=lambda each: "/" not in each)}
        sums = {name: hashlib.sha256(body).hexdigest() for name, body in ordered.items()}
        lines = [f"{digest}  {name}\n" for name, digest in sorted(sums.items())]
        ordered[SUMS] = "".join(lines).encode()
        return {self.prefix + name: body for name, body in ordered.items()}

    def _with_artifacts(self, path: Path, bucket: str) -> dict[str, bytes]:
        """A template with absolute addresses, and what it refers to, by name."""
        files: dict[str, bytes] = {}

        def absolute(found: re.Match[str]) -> str:
            indent, location, local = found.groups()
            # As `aws cloudformation package` does: of a linked directory, by its own name.
            name, body = _artifact(Path(os.path.normpath(path.parent / local)))
            files[name] = body
            place = dict(zip(LOCATIONS[location], (bucket, self.prefix + name), strict=True))
            return f"{indent}{location}: {json.dumps(place)}"

        text = _LOCAL.sub(absolute, path.read_text())
        if left := re.findall(r"^.*: \.{1,2}/.*$", text, re.MULTILINE):
            raise ArtifactError(f"{path} would refer to local files: {'; '.join(left)}")
        if path.name == templates.CATALOG:
            text = _with_default_bucket(text, path, bucket)
        files[path.name] = text.encode()
        if len(files[path.name]) > LARGEST_TEMPLATE:
            raise ArtifactError(f"{path} has more than {LARGEST_TEMPLATE} bytes.")
        return files

    def parameters(self, name: str) -> dict[str, str]:
        """What a quick-create link says to a template: the portfolio's first version.

        No default: an update to the next version's template would replace it with that version.
        """
        return {"pVersion1": self.version} if name == Path(templates.CATALOG).stem else {}

    def template_keys(self) -> Iterator[tuple[str, str]]:
        """Each template's name without extension, and its key."""
        for path in self.paths:
            yield path.stem, self.prefix + path.name


def _with_default_bucket(text: str, path: Path, bucket: str) -> str:
    """The portfolio's template, which finds its products beside it."""
    # No default may break its own pattern, as a name with dots would.
    if "." in bucket:
        return text
    changed, count = _BUCKET.subn(rf"\g<0>    Default: {json.dumps(bucket)}\n", text)
    if count != 1:
        raise ArtifactError(f"{path} declares no parameter pBucket of type String.")
    return changed


def _artifact(path: Path) -> tuple[str, bytes]:
    try:
        body = path.read_bytes()
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} does not exist: run `make build`.") from error
    stem, _, suffixes = path.name.partition(".")
    return f"artifacts/{stem}-{hashlib.sha256(body).hexdigest()}.{suffixes}", body
