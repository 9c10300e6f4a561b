"""The command line of `make preflight`: `python -m scripts.preflight TEMPLATE`; --help has more.

Exit codes: 0 no errors, 1 the creation would fail, 2 preflight could not run.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import yaml
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from scripts import templates
from scripts.preflight import plan, prices, report
from scripts.preflight.account import Account
from scripts.preflight.subject import CLUSTER, KEY_STORE, Subject
from scripts.stack import assignments
from scripts.stack.account import OperatorError


def main(arguments: list[str]) -> int:
    """Check, and print the findings."""
    given = _parser().parse_args(arguments)
    try:
        subject = _subject(given)
        found = list(plan.findings(subject))
        bill = prices.items(subject) if _is_priceable(subject) else []
    except (OperatorError, BotoCoreError, ClientError, OSError, yaml.YAMLError) as error:
        print(error, file=sys.stderr)
        return 2
    if given.json:
        print(report.as_json(subject, found, bill))
    else:
        report.show(Console(highlight=False, markup=False, emoji=False), subject, found, bill)
    return 1 if plan.has_errors(found) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m scripts.preflight", description=__doc__)
    parser.add_argument("template", type=Path)
    parser.add_argument("--stack", default="", help="the stack's name, as for make deploy")
    parser.add_argument("--bucket", default="", help="the bucket for artifacts")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return parser


def _subject(given: argparse.Namespace) -> Subject:
    template = templates.load(given.template)
    if not {CLUSTER, KEY_STORE} & set(template.get("Resources", {})):
        raise OperatorError(f"{given.template} has neither {CLUSTER} nor {KEY_STORE}.")
    # Not as arguments: make and a shell would replace what has a dollar sign.
    words = assignments.parse("PARAMS", os.environ.get("PREFLIGHT_PARAMS", ""))
    subject = Subject(Account(), template, words, given.stack, given.bucket)
    # Without credentials, nothing else can be said.
    if not subject.account.region:
        raise OperatorError("Set AWS_REGION.")
    _ = subject.caller
    return subject


def _is_priceable(subject: Subject) -> bool:
    """Whether the number of HSMs is known."""
    chosen = subject.parameters
    return not subject.creates_cluster or (
        "pSubnets" in chosen and chosen["pHsmsPerSubnet"].isdecimal()
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
