from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localaws.client import until
from localaws.core.jump_clock import JumpClock
from localaws.lambda_runtime.pool import Environment, Function, Outcome, Pool, base_variables

FUNCTION = Function(
    arn="arn:aws:lambda:us-east-1:123456789012:function:try",
    revision="1",
    handler="index.handler",
    timeout=60,
    variables={
        **base_variables(),
        "AWS_LAMBDA_FUNCTION_NAME": "try",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/try",
        "AWS_LAMBDA_LOG_FORMAT": "Text",
        "AWS_LAMBDA_LOG_LEVEL": "",
    },
)
COUNTER = "n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return n"


def zipped(code: str, **modules: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as content:
        for name, text in {"index": code, **modules}.items():
            content.writestr(f"{name}.py", text)
    return archive.getvalue()


class Bench:
    def __init__(self, home: Path) -> None:
        self.clock, self.pool = JumpClock(), Pool(home)

    def take(self, code: str, function: Function = FUNCTION) -> Environment:
        return self.pool.take(function, zipped(code), "2026/11/23")

    def invoke(
        self,
        code: str,
        event: Any = None,
        function: Function = FUNCTION,
        death: str = "",
    ) -> Outcome:
        environment = self.take(code, function)
        with self.clock.busy():
            outcome = environment.invoke(
                event, "request", self.clock, lambda moment: moment == death
            )
        self.pool.give_back(environment)
        return outcome


@pytest.fixture(name="bench")
def _bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.pool.close()


def test_a_function_returns_its_result(bench: Bench) -> None:
    outcome = bench.invoke("def handler(event, context): return {'twice': event * 2}", 21)
    assert (outcome.result, outcome.error) == ({"twice": 42}, None)


def test_an_exception_keeps_its_class_name(bench: Bench) -> None:
    code = "class NotYet(Exception): pass\ndef handler(event, context): raise NotYet('soon')"
    error = bench.invoke(code).error
    assert error is not None
    assert (error["errorType"], error["errorMessage"]) == ("NotYet", "soon")
    assert "line 2" in error["stackTrace"][0]


def test_an_environment_is_reused_after_an_exception(bench: Bench) -> None:
    code = COUNTER.replace("    return", "    if n == 1: raise ValueError()\n    return")
    bench.invoke(code)
    assert bench.invoke(code).result == 2


def test_a_new_revision_gets_a_new_environment(bench: Bench) -> None:
    assert bench.invoke(COUNTER).result == 1
    assert bench.invoke(COUNTER, function=replace(FUNCTION, revision="2")).result == 1


def test_concurrent_invocations_get_separate_environments(bench: Bench) -> None:
    code = "def handler(event, context): return 1"
    assert bench.take(code) is not bench.take(code)


def test_an_environment_has_only_its_own_files_and_variables(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VARIABLE_OF_THE_SERVER", "x")
    code = (
        "import os, mark\ndef handler(event, context): return [os.getcwd(), mark.S, {**os.environ}]"
    )
    seen = []
    for mark in ("one", "other"):
        function = replace(FUNCTION, arn=mark, variables={**FUNCTION.variables, mark: mark})
        archive = zipped(code, mark=f"S = '{mark}'")
        environment = bench.pool.take(function, archive, "2026/11/23")
        with bench.clock.busy():
            seen.append(environment.invoke(None, "request", bench.clock, lambda _: False).result)
    (one, one_mark, ones), (other, other_mark, others) = seen
    assert one != other
    assert (one_mark, other_mark) == ("one", "other")
    names = {"LAMBDA_TASK_ROOT", "AWS_LAMBDA_LOG_STREAM_NAME", "_HANDLER", *FUNCTION.variables}
    names.add("_X_AMZN_TRACE_ID")
    # Python sets LC_CTYPE itself, depending on the locale.
    assert ones.keys() - {"LC_CTYPE"} == names | {"one"}
    assert others.keys() - {"LC_CTYPE"} == names | {"other"}


def test_a_function_can_run_programs(bench: Bench) -> None:
    code = (
        "import subprocess\n"
        "def handler(event, context): return subprocess.run(['sh', '-c', 'exit 3']).returncode"
    )
    assert bench.invoke(code).result == 3


def test_sleeping_takes_virtual_time(bench: Bench) -> None:
    began, real = bench.clock.now(), time.monotonic()
    outcome = bench.invoke("import time\ndef handler(event, context): time.sleep(50)")
    assert outcome.error is None
    assert bench.clock.now() - began == 50
    assert time.monotonic() - real < 30


def test_a_function_that_sleeps_too_long_is_killed_at_its_timeout(bench: Bench) -> None:
    began = bench.clock.now()
    error = bench.invoke("import time\ndef handler(event, context): time.sleep(500)").error
    assert error is not None
    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Task timed out after 60.00 seconds")
    assert bench.clock.now() - began == 60


def test_sleeping_reduces_the_remaining_time(bench: Bench) -> None:
    code = (
        "import time\n"
        "def handler(event, context):\n"
        "    time.sleep(50)\n"
        "    return context.get_remaining_time_in_millis()\n"
    )
    assert 8000 < bench.invoke(code).result <= 10000


@pytest.mark.parametrize(
    ("code", "error_type", "message"),
    [
        ("import no_such_module", "Runtime.ImportModuleError", "no_such_module"),
        ("pass", "Runtime.HandlerNotFound", "handler"),
        (
            "import sys\ndef handler(event, context): sys.exit(3)",
            "Runtime.ExitError",
            "exit status 3",
        ),
        ("def handler(event, context): return {1, 2}", "Runtime.MarshalError", "marshal"),
    ],
)
def test_errors_of_the_runtime_have_the_types_of_lambda(
    bench: Bench, code: str, error_type: str, message: str
) -> None:
    error = bench.invoke(code).error
    assert error is not None
    assert error["errorType"] == error_type
    assert message in error["errorMessage"]


@pytest.mark.parametrize(("moment", "done"), [("before", False), ("after", True)])
def test_an_injected_death_happens_before_or_after_the_work(
    bench: Bench, tmp_path: Path, moment: str, done: bool
) -> None:
    mark = tmp_path / "mark"
    code = f"def handler(event, context): open({str(mark)!r}, 'w')"
    error = bench.invoke(code, death=moment).error
    assert error is not None
    assert error["errorType"] == "Runtime.ExitError"
    assert mark.exists() == done


def test_each_invocation_has_its_own_log(bench: Bench) -> None:
    code = (
        "import logging\n"
        "def handler(event, context):\n"
        "    print('printed', event)\n"
        "    logging.warning('warned %s', event)\n"
        "    logging.info('not this')\n"
    )
    assert "printed 1" in bench.invoke(code, 1).log
    second = bench.invoke(code, 2).log
    assert "printed 2" in second
    assert "[WARNING]" in second
    assert "warned 2" in second
    assert "printed 1" not in second
    assert "not this" not in second


def test_json_logging_is_one_object_a_line(bench: Bench) -> None:
    function = replace(
        FUNCTION,
        variables={
            **FUNCTION.variables,
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_LAMBDA_LOG_LEVEL": "INFO",
        },
    )
    code = (
        "import logging\n"
        "def handler(event, context):\n"
        "    logging.getLogger('own').info('hello', extra={'step': 'CreateHsm'})\n"
    )
    line = json.loads(bench.invoke(code, function=function).log)
    assert (line["level"], line["message"], line["logger"]) == ("INFO", "hello", "own")
    assert (line["requestId"], line["step"]) == ("request", "CreateHsm")


def test_closing_the_pool_leaves_no_process_and_no_file(bench: Bench, tmp_path: Path) -> None:
    process = bench.invoke("import os\ndef handler(event, context): return os.getpid()").result
    bench.take("def handler(event, context): return 1")
    bench.pool.close()
    until(lambda: not Path(f"/proc/{process}").exists(), "the function's process did not end")
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pool_makes_no_environment(bench: Bench) -> None:
    bench.pool.close()
    with pytest.raises(OSError, match="the pool is closed"):
        bench.take("def handler(event, context): return 1")
