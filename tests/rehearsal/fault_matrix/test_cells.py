"""The cells of the matrix: of every call of every request, each with a valid fault."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore import xform_name
from botocore.session import get_session

from localaws.client import ROOT
from localaws.core.faults import Faults
from rehearsal.fault_matrix import recording, tolerated, unreached
from rehearsal.fault_matrix.call import API, Call, calls_of
from rehearsal.fault_matrix.cell import Cell, cells_of, selected
from rehearsal.fault_matrix.faults import DESCRIPTIONS, LASTING
from rehearsal.fault_matrix.plan import chains_of, groups
from rehearsal.fault_matrix.report import command_pattern
from rehearsal.fault_matrix.requests import SETTINGS

SERVICES = (
    "cloudformation",
    "cloudhsmv2",
    "ec2",
    "iam",
    "kms",
    "secretsmanager",
    "ssm",
    "stepfunctions",
)
# Methods of cryptography, and a function, that have the name of an operation of KMS.
LOCAL = frozenset({"Decrypt", "Encrypt", "Sign", "Verify"})
CALLS = recording.load().calls
CELLS = cells_of(CALLS)


def call_sites() -> Iterator[tuple[str, str]]:
    """Each place in functions/ where an API is called, as file:line, and the operation."""
    session = get_session()
    operations = {
        xform_name(operation): operation
        for service in SERVICES
        for operation in session.get_service_model(service).operation_names
    }
    for path in sorted((ROOT / "functions").rglob("*.py")):
        # The entry points name steps, not operations.
        if path.parent.name != "workers":
            for line, name in names_in(path):
                operation = operations.get(name)
                if operation and operation not in LOCAL:
                    yield f"{path.relative_to(ROOT)}:{line}", operation


def names_in(path: Path) -> Iterator[tuple[int, str]]:
    """Attributes, and strings with which a paginator or method is looked up."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Attribute(attr=name, lineno=line):
                yield line, name
            case ast.Constant(value=str(name), lineno=line):
                yield line, name


def test_each_api_call_in_functions_is_in_the_matrix_or_explained() -> None:
    recorded = {call.operation for calls in CALLS.values() for call in calls if call.kind == API}
    sites = list(call_sites())
    assert len(sites) > 50
    assert [
        f"{site}: {operation}"
        for site, operation in sites
        if operation not in recorded | unreached.REASONS.keys()
    ] == []
    called = {operation for _, operation in sites}
    assert {*unreached.REASONS} - called == set()
    assert {*unreached.REASONS} & recorded == set()


def test_the_matrix_has_every_request_and_kind_of_fault() -> None:
    tried = [request for setting in SETTINGS.values() for request in setting.tried]
    assert [*CALLS] == tried
    assert {cell.kind for cell in CELLS} == {*DESCRIPTIONS}
    assert len(CELLS) > 2500
    assert len({cell.id for cell in CELLS}) == len(CELLS)


def test_each_cell_has_a_fault_that_the_local_aws_accepts() -> None:
    Faults().inject([cell.fault for cell in CELLS])
    assert {cell.kind for cell in CELLS if cell.fault.get("times", 1) > 1} == LASTING


def test_each_pattern_of_a_tolerated_cell_matches() -> None:
    assert [
        pattern
        for pattern in tolerated.REASONS
        if not any(re.search(pattern, cell.id) for cell in CELLS)
    ] == []


def test_a_cell_is_selected_by_the_command_that_a_hole_names() -> None:
    for cell in CELLS[::97]:
        assert selected(CELLS, command_pattern(cell)) == [cell]


def test_a_sample_depends_on_its_seed_only() -> None:
    sample = selected(CELLS, sample=60, seed=1)
    assert len(sample) == 60
    assert sample == selected(CELLS, sample=60, seed=1)
    assert sample != selected(CELLS, sample=60, seed=2)
    assert selected(CELLS[:9], sample=60) == CELLS[:9]


def test_every_cell_is_in_one_chain_of_its_setting() -> None:
    requests = {name: setting.tried for name, setting in SETTINGS.items()}
    chains = chains_of(CELLS, requests)
    planned = [cell for chain in chains for unit in chain.units for cell in unit.cells]
    assert sorted(cell.id for cell in planned) == sorted(cell.id for cell in CELLS)
    assert [
        unit
        for chain in chains
        for unit in chain.units
        if unit.request not in requests[chain.setting]
        or any(cell.request != unit.request for cell in unit.cells)
        or (unit.lasting and len(unit.cells) > 1)
    ] == []


def test_faults_of_one_occasion_never_share_a_request() -> None:
    once = [cell for cell in CELLS if cell.request == "grow" and not cell.lasting]
    units = groups(once)
    assert len(units) < len(once) / 4
    for unit in units:
        occasions = [cell.call.occasion for cell in unit.cells]
        assert len(occasions) == len({*occasions})


@pytest.mark.parametrize(
    ("cell", "id_"),
    [
        (
            Cell("grow", Call(API, "cluster", "CreateHsm", "cloudhsm", "CreateHsm"), "lost"),
            "grow/cluster.CreateHsm/CreateHsm/lost",
        ),
        (
            Cell("grow", Call("step", "request", "", "lambda", ""), "times-out"),
            "grow/request/times-out",
        ),
    ],
)
def test_the_id_names_request_caller_step_call_and_fault(cell: Cell, id_: str) -> None:
    assert cell.id == id_


def test_calls_are_recorded_once_without_the_names_of_stack_and_document() -> None:
    api = {
        "function": "cloudhsm-1-cluster",
        "step": "CreateHsm",
        "service": "cloudhsm",
        "operation": "CreateHsm",
    }
    task = {"machine": "cloudhsm-ks-1-align-hsms", "task": "CreateHsm", "operation": "Invoke"}
    response = {"function": "", "step": "", "service": "s3", "operation": "PutResponse"}
    commands = [
        {"document": "hsm-rInstallPackageDocument-0A1B2C3D4E5F6", "command": "dnf install -y x"},
        {"document": "hsm-rInstallPackageDocument-0A1B2C3D4E5F6", "command": "mktemp -d"},
        {"document": "operator", "command": "dnf install -y x"},
    ]
    invoked = {"service": "lambda", "event": "Invoked", "subject": "cloudhsm-1-request"}
    recorded = {"calls": [api, task, api, response], "commands": commands}
    assert [str(call) for call in calls_of(recorded, [invoked])] == [
        "cluster.CreateHsm/CreateHsm",
        "align-hsms.CreateHsm/Invoke",
        "response/PutResponse",
        "request",
        "InstallPackage/dnf install",
    ]
