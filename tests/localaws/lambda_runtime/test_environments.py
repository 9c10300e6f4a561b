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

from localaws.core.forking import Source, base_variables
from localaws.core.jump_clock import JumpClock
from localaws.lambda_runtime.pool import Environment, Function, Outcome, Pool, start_runtime

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


def zipped(code: str, **modules: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as content:
        for name, text in {"index": code, **modules}.items():
            content.writestr(f"{name}.py", text)
    return archive.getvalue()


class Bench:
    def __init__(self, home: Path, runtime: Source) -> None:
        self.clock, self.pool = JumpClock(), Pool(home, runtime.connect())

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


@pytest.fixture(scope="module", name="runtime")
def _runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    directory = tmp_path_factory.mktemp("runtime") / "tasks"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_OF_THE_MACHINE", "x")
        runtime = start_runtime(directory)
    yield runtime
    runtime.close()
    assert not directory.exists()


@pytest.fixture(name="bench")
def _bench(tmp_path: Path, runtime: Source) -> Iterator[Bench]:
    bench = Bench(tmp_path, runtime)
    yield bench
    bench.pool.close()


def test_a_function_gives_its_result(bench: Bench) -> None:
    outcome = bench.invoke("def handler(event, context): return {'twice': event * 2}", 21)
    assert (outcome.result, outcome.error) == ({"twice": 42}, None)


def test_an_exception_keeps_its_class_name(bench: Bench) -> None:
    code = "class NotYet(Exception): pass\ndef handler(event, context): raise NotYet('soon')"
    error = bench.invoke(code).error
    assert error is not None
    assert (error["errorType"], error["errorMessage"]) == ("NotYet", "soon")
    assert "line 2" in error["stackTrace"][0]


def test_an_environment_survives_an_exception_and_stays_warm(bench: Bench) -> None:
    code = (
        "n = 0\n"
        "def handler(event, context):\n"
        "    global n\n"
        "    n += 1\n"
        "    if n == 1: raise ValueError()\n"
        "    return n\n"
    )
    bench.invoke(code)
    assert bench.invoke(code).result == 2


def test_another_revision_needs_another_environment(bench: Bench) -> None:
    code = "n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return n"
    assert bench.invoke(code).result == 1
    assert bench.invoke(code, function=replace(FUNCTION, revision="2")).result == 1


def test_two_invocations_at_a_time_need_two_environments(bench: Bench) -> None:
    code = "def handler(event, context): return 1"
    assert bench.take(code) is not bench.take(code)


def test_an_environment_has_nothing_of_another_or_of_the_runtime(bench: Bench) -> None:
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
    own = {"LAMBDA_TASK_ROOT", "AWS_LAMBDA_LOG_STREAM_NAME", "_HANDLER", *FUNCTION.variables}
    assert (ones.keys(), others.keys()) == (own | {"one"}, own | {"other"})


def test_a_function_can_run_programs_and_learn_how_they_ended(bench: Bench) -> None:
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
    assert time.monotonic() - real < 5


def test_a_function_that_sleeps_too_long_is_killed_at_its_timeout(bench: Bench) -> None:
    began = bench.clock.now()
    error = bench.invoke("import time\ndef handler(event, context): time.sleep(500)").error
    assert error is not None
    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Task timed out after 60.00 seconds")
    assert bench.clock.now() - began == 60


def test_the_remaining_time_counts_what_was_slept(bench: Bench) -> None:
    code = (
        "import time\n"
        "def handler(event, context):\n"
        "    time.sleep(50)\n"
        "    return context.get_remaining_time_in_millis()\n"
    )
    assert 8000 < bench.invoke(code).result <= 10000


def test_a_module_that_cannot_be_imported_is_told_apart(bench: Bench) -> None:
    error = bench.invoke("import no_such_module").error
    assert error is not None
    assert error["errorType"] == "Runtime.ImportModuleError"
    assert "no_such_module" in error["errorMessage"]


def test_a_handler_that_is_not_there_is_told_apart(bench: Bench) -> None:
    error = bench.invoke("pass").error
    assert error is not None
    assert error["errorType"] == "Runtime.HandlerNotFound"


def test_a_process_that_exits_is_told_apart(bench: Bench) -> None:
    error = bench.invoke("import sys\ndef handler(event, context): sys.exit(3)").error
    assert error is not None
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith("exit status 3")


def test_a_result_that_is_no_json_is_told_apart(bench: Bench) -> None:
    error = bench.invoke("def handler(event, context): return {1, 2}").error
    assert error is not None
    assert error["errorType"] == "Runtime.MarshalError"


@pytest.mark.parametrize(("moment", "done"), [("before", False), ("after", True)])
def test_a_worker_may_die_before_or_after_its_work(
    bench: Bench, tmp_path: Path, moment: str, done: bool
) -> None:
    mark = tmp_path / "mark"
    code = f"def handler(event, context): open({str(mark)!r}, 'w')"
    error = bench.invoke(code, death=moment).error
    assert error is not None
    assert error["errorType"] == "Runtime.ExitError"
    assert mark.exists() == done


def test_what_a_function_prints_and_logs_is_kept_for_each_invocation(bench: Bench) -> None:
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


def test_a_function_knows_its_own_environment_and_nothing_of_ours(bench: Bench) -> None:
    code = "import os\ndef handler(event, context): return sorted(os.environ)"
    names = bench.invoke(code).result
    assert "AWS_LAMBDA_FUNCTION_NAME" in names
    assert "SECRET_OF_THE_MACHINE" not in names


def test_nothing_is_left_when_the_pool_is_closed(bench: Bench, tmp_path: Path) -> None:
    bench.invoke("def handler(event, context): return 1")
    bench.take("def handler(event, context): return 1")
    bench.pool.close()
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pool_makes_no_environment(bench: Bench) -> None:
    bench.pool.close()
    with pytest.raises(OSError, match="the line is closed"):
        bench.take("def handler(event, context): return 1")


def test_pools_of_one_runtime_end_apart(bench: Bench, runtime: Source, tmp_path: Path) -> None:
    code = "import os\ndef handler(event, context): return os.getpid()"
    other = Bench(tmp_path / "other", runtime)
    (tmp_path / "other").mkdir()
    process = other.invoke(code).result
    assert bench.invoke(code).result != process
    other.pool.close()
    assert bench.invoke(code).error is None
    limit = time.monotonic() + 10
    while Path(f"/proc/{process}").exists() and time.monotonic() < limit:
        time.sleep(0.01)
    assert not Path(f"/proc/{process}").exists()


def test_a_pool_without_a_runtime_has_one_of_its_own(tmp_path: Path) -> None:
    pool = Pool(tmp_path)
    pool.take(FUNCTION, zipped("def handler(event, context): return 1"), "2026/11/23")
    pool.close()
