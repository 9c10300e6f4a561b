"""The command line: `python -m scripts.release publish|verify|freeze`, which make calls."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from scripts.release import buckets, freeze
from scripts.release.addresses import AddressError, quick_create, template_url
from scripts.release.artifacts import ArtifactError, Sources
from scripts.release.buckets import Bucket, BucketError, Differences


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns 0 if it succeeded, 1 if bucket and sources differ."""
    given = _parser().parse_args(arguments)
    sources = Sources(given.source, given.version)
    try:
        sources.check()
        if given.command == "freeze":
            print(f"{freeze.freeze(given.version)} is frozen: see docs/development.md.")
            return 0
        found = buckets.parse(given.buckets)
        for bucket in found:
            bucket.require_region()
        return _publish(sources, found) if given.command == "publish" else _verify(sources, found)
    except (AddressError, ArtifactError, BucketError, freeze.FreezeError) as error:
        print(error, file=sys.stderr)
    except (BotoCoreError, ClientError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m scripts.release", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, purpose in (
        ("publish", "upload a version's artifacts and print its addresses"),
        ("verify", "compare the artifacts in the buckets with the sources"),
        ("freeze", "copy a version to tests/fixtures/released"),
    ):
        command = commands.add_parser(name, help=purpose)
        command.add_argument("version")
        if name != "freeze":
            command.add_argument("buckets", help="region=bucket, separated by commas")
        command.add_argument(
            "--source", type=Path, default=Path(), help="directory with templates (default: here)"
        )
    return parser


def _publish(sources: Sources, found: list[Bucket]) -> int:
    """Compare all buckets before anything is uploaded."""
    wanted = {bucket: sources.objects(bucket.name) for bucket in found}
    compared = {
        bucket: bucket.differences(objects, sources.prefix) for bucket, objects in wanted.items()
    }
    conflicts = [
        f"s3://{bucket.name}/{key}"
        for bucket, differences in compared.items()
        for key in differences.conflicts
    ]
    if conflicts:
        raise BucketError(
            f"Version {sources.version} was released with other content, so nothing was uploaded."
            " Raise the version. Different objects:\n" + "\n".join(conflicts)
        )
    for bucket, differences in compared.items():
        for key in differences.missing:
            bucket.put(key, wanted[bucket][key])
        print(f"{bucket.region}: {len(differences.missing)} of {len(wanted[bucket])} uploaded")
        for line in _addresses(sources, bucket):
            print(line)
    return 0


def _addresses(sources: Sources, bucket: Bucket) -> Iterator[str]:
    for name, key in sources.template_keys():
        url = template_url(bucket.region, bucket.name, key)
        yield f"  {name}"
        yield f"    template      {url}"
        link = quick_create(bucket.region, url, name, sources.parameters(name))
        yield f"    quick-create  {link}"


def _verify(sources: Sources, found: list[Bucket]) -> int:
    different = 0
    for bucket in found:
        wanted = sources.objects(bucket.name)
        differences = bucket.differences(wanted, sources.prefix)
        for line in _verdict(bucket, differences):
            different += 1
            print(line, file=sys.stderr)
        if not (differences.missing or differences.conflicts):
            print(f"{bucket.region}: {len(wanted)} objects are as the sources build them")
    return 1 if different else 0


def _verdict(bucket: Bucket, differences: Differences) -> Iterator[str]:
    for problem, keys in (
        ("missing", differences.missing),
        ("different", differences.changed),
        ("not of this version", differences.unknown),
    ):
        yield from (f"s3://{bucket.name}/{key}: {problem}" for key in keys)


if __name__ == "__main__":
    sys.exit(main())
