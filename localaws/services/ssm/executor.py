"""The agent's part of Run Command: a command's delivery, its script's run and the report."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace

from localaws.core.clock import Clock
from localaws.core.event_log import EventLog
from localaws.core.faults import Faults
from localaws.services.ssm.agents import Agents
from localaws.services.ssm.interfaces import Instances, Outcome, Script, Spawn, Timings
from localaws.services.ssm.models import Command, Invocation

# Virtual seconds: the delivery to an agent that is online, and the interval at which one that is
# offline is checked.
DELIVERY = 1.0
AGENT_POLL = 5.0
# The exit code that the agent reports for a script it stopped.
STOPPED = 137
NO_OUTCOME = Outcome(0, "", "")


class Executor:
    """Carries out invocations."""

    def __init__(
        self,
        clock: Clock,
        instances: Instances,
        agents: Agents,
        spawn: Spawn,
        lock: AbstractContextManager[object],
        *,
        region: str,
        timings: Timings,
        faults: Faults,
        event_log: EventLog,
    ) -> None:
        self._clock = clock
        self._instances = instances
        self._agents = agents
        self._spawn = spawn
        self._lock = lock
        self._region = region
        self._timings = timings
        self._faults = faults
        self._event_log = event_log

    def start(
        self,
        command: Command,
        invocation: Invocation,
        script: tuple[str, str],
        execution_timeout: float,
    ) -> None:
        """Carry out an invocation in a thread of its own: a script, in a directory."""
        self._spawn(self._carry_out, command, invocation, script, execution_timeout)

    def _carry_out(
        self,
        command: Command,
        invocation: Invocation,
        script: tuple[str, str],
        execution_timeout: float,
    ) -> None:
        """Deliver, run and report; the calling thread holds the clock except while it waits."""
        self._clock.wait([invocation.cancelled], min(DELIVERY, self._timings.run_command))
        if not self._agents.is_online(invocation.instance_id):
            self._move(invocation, "Delayed")
        if not self._await_agent(invocation, command.sent_at + command.delivery_timeout):
            self._finish(command, invocation, "TimedOut", "DeliveryTimedOut")
            return
        if not self._move(invocation, "InProgress"):
            self._finish(command, invocation, "Cancelled", "Cancelled")
            return
        invocation.started_at = self._clock.now()
        outcome = self._run(command, invocation, script, execution_timeout)
        self._clock.wait([invocation.cancelled], max(0, self._timings.run_command - DELIVERY))
        if invocation.cancelling:
            self._finish(command, invocation, "Cancelled", "Cancelled", outcome, STOPPED)
        elif not self._await_agent(invocation, command.expires_at):
            self._finish(command, invocation, "TimedOut", "DeliveryTimedOut")
        elif invocation.timed_out:
            self._finish(command, invocation, "TimedOut", "ExecutionTimedOut", outcome, STOPPED)
        else:
            code = outcome.exit_code
            # A shell reports a command that was ended by a signal as 128 plus the signal's number.
            exit_code = 128 - code if code < 0 else code
            status = "Failed" if exit_code else "Success"
            self._finish(command, invocation, status, status, outcome, exit_code)

    def _await_agent(self, invocation: Invocation, deadline: float) -> bool:
        """Wait for the agent to be online, or for cancellation; False if the deadline passes."""
        while not invocation.cancelling and not self._agents.is_online(invocation.instance_id):
            left = deadline - self._clock.now()
            if left <= 0:
                return False
            self._clock.wait([invocation.cancelled], min(AGENT_POLL, left))
        return True

    def _move(self, invocation: Invocation, status: str) -> bool:
        """Change the status; False if the invocation is being cancelled."""
        with self._lock:
            if not invocation.cancelling:
                invocation.status = invocation.details = status
            return not invocation.cancelling

    def _run(
        self,
        command: Command,
        invocation: Invocation,
        script: tuple[str, str],
        execution_timeout: float,
    ) -> Outcome:
        failure = self._faults.script_failure(command.document)
        if failure:
            return _with_reason(Outcome(failure[0], "", failure[1]))

        def start() -> Script:
            return self._instances.sandbox(invocation.instance_id).start(
                script[0],
                {
                    "AWS_SSM_REGION_NAME": self._region,
                    "LOCALAWS_DOCUMENT": command.document,
                    "LOCALAWS_FAULTS": "yes" if self._faults.any_of_commands() else "",
                    "LOCALAWS_CLOUD_INIT": str(self._faults.cloud_init()),
                    "LOCALAWS_DOWNLOAD": self._faults.download() or "",
                    "LOCALAWS_DOWNLOAD_SECONDS": str(self._timings.download),
                    "LOCALAWS_INSTALL_SECONDS": str(self._timings.install_package),
                    "LOCALAWS_CLI_SECONDS": str(self._timings.cloudhsm_cli),
                },
                script[1],
            )

        self._spawn(self._stop_after, invocation, execution_timeout)
        return _with_reason(invocation.run.run(start))

    def _stop_after(self, invocation: Invocation, execution_timeout: float) -> None:
        if not self._clock.wait([invocation.run.ended], execution_timeout):
            invocation.timed_out = True
            invocation.run.stop()

    def _finish(
        self,
        command: Command,
        invocation: Invocation,
        status: str,
        details: str,
        outcome: Outcome = NO_OUTCOME,
        exit_code: int = -1,
    ) -> None:
        with self._lock:
            invocation.status, invocation.details = status, details
            invocation.exit_code = exit_code
            invocation.stdout, invocation.stderr = outcome.stdout, outcome.stderr
            invocation.ended_at = self._clock.now()
        self._event_log.record(
            "ssm",
            command.document,
            details,
            command=command.number,
            instance=invocation.instance_id,
        )


def _with_reason(outcome: Outcome) -> Outcome:
    """Add the agent's own line, the last in the stderr of a failure."""
    code = outcome.exit_code
    if not code:
        return outcome
    reason = f"exit status {code}" if code > 0 else "signal: killed"
    stderr = outcome.stderr
    if stderr and not stderr.endswith("\n"):
        stderr += "\n"
    return replace(outcome, stderr=f"{stderr}failed to run commands: {reason}")
