"""The commands that a scenario's steps amount to, as an operator would type them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess  # nosec B404 # a type
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from botocore import xform_name

from localaws.client import BUCKET, LocalAws

Json = dict[str, Any]

# Operations that change nothing; scenarios check with them what their steps have done.
_READS = re.compile("Describe|Filter|Get|Head|List|Lookup|Simulate|Validate")
# AWS's document that runs a script.
RUN_SCRIPT = "AWS-RunShellScript"
# What is longer, such as a certificate, would fill the screen.
_LONGEST = 120
_LONG = "…"


class OperatedAws(LocalAws):
    """A local AWS that says what an operator would type for the requests to it."""

    def __init__(self, *arguments: str, timings: Json | None = None) -> None:
        super().__init__(*arguments, timings=timings)
        self.on_command: Callable[[str], None] | None = None
        self._deployed: dict[str, dict[str, str]] = {}
        # The scripts of the documents that a step has created.
        self._scripts: dict[str, list[str]] = {}

    def client(self, service: str) -> Any:
        """As of the local AWS."""
        client = super().client(service)
        # With an ID, further registrations have no effect.
        client.meta.events.register("provide-client-params", self._called, unique_id="commands")
        return client

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """As of the local AWS."""
        match command:
            case ["make", "deploy", *given]:
                self._say(self._deploy(dict(word.split("=", 1) for word in given)))
            case ["bash", "-euc", script]:
                self._say(script)
            # The others package a template, as a part of `make deploy`.
            case ["make", "destroy", *_] | ["scripts/sign_csr.sh", *_]:
                self._say(shlex.join(command))
        return super().run(*command)

    def _called(self, params: Json, model: Any, **_: object) -> None:
        service, operation = str(model.service_model.service_name), str(model.name)
        match service, operation:
            case "cloudformation", "CreateStack" | "UpdateStack":
                _, _, template = params["TemplateURL"].partition(f"/{BUCKET}/")
                self._say(
                    self._deploy(
                        {
                            "TEMPLATE": template.removeprefix("edited/"),
                            "STACK": params["StackName"],
                            "PARAMS": _assignments(params["Parameters"], "ParameterKey"),
                            "TAGS": _assignments(params.get("Tags", []), "Key"),
                        }
                    )
                )
            case "cloudformation", "DeleteStack":
                self._say(f"make destroy STACK={params['StackName']}")
            # An operator runs a script without a document of one's own.
            case "ssm", "CreateDocument":
                steps = json.loads(params["Content"])["mainSteps"]
                self._scripts[params["Name"]] = steps[0]["inputs"]["runCommand"]
            case "ssm", "DeleteDocument":
                self._scripts.pop(params["Name"], None)
            case "ssm", "SendCommand" if script := self._scripts.get(params["DocumentName"]):
                given = {"DocumentName": RUN_SCRIPT, "Parameters": {"commands": script}}
                self._say(cli_command(service, operation, {**params, **given}))
            # Uploads are a part of `make deploy`.
            case _ if service != "s3" and not _READS.match(operation):
                self._say(cli_command(service, operation, params))

    def _deploy(self, given: Mapping[str, str]) -> str:
        """A deployment, with the parameters that it changes; the others keep their values."""
        parameters = dict(word.split("=", 1) for word in shlex.split(given["PARAMS"]))
        before = self._deployed.get(given["STACK"], {})
        self._deployed[given["STACK"]] = parameters
        changed = {key: text for key, text in parameters.items() if before.get(key) != text}
        words = {
            "TEMPLATE": given["TEMPLATE"],
            "STACK": given["STACK"],
            "BUCKET": BUCKET,
            "PARAMS": _words(changed),
            "TAGS": given.get("TAGS", ""),
        }
        return " ".join(
            ["make deploy", *(f"{name}={_quoted(text)}" for name, text in words.items() if text)]
        )

    def _say(self, command: str) -> None:
        if self.on_command:
            self.on_command(command)


def cli_command(service: str, operation: str, parameters: Mapping[str, Any]) -> str:
    """The AWS CLI's command for a request; long values are left out."""
    options = (_option(f"--{xform_name(name, '-')}", value) for name, value in parameters.items())
    return " ".join(["aws", service, xform_name(operation, "-"), *options])


def _option(name: str, value: Any) -> str:
    match value:
        case bool():
            return name if value else name.replace("--", "--no-", 1)
        case list() if not any(isinstance(each, dict | list) for each in value):
            texts: Sequence[str] = [str(each) for each in value]
        case dict() | list():
            texts = [json.dumps(value, default=str)]
        case bytes():
            return f"{name} {_LONG}"
        case _:
            texts = [str(value)]
    return " ".join([name, *(_shortened(text) for text in texts)])


def _shortened(text: str) -> str:
    return _LONG if len(text) > _LONGEST or "\n" in text else shlex.quote(text)


def _quoted(text: str) -> str:
    # As the documents have it: also without need.
    return shlex.quote(text) if " " in shlex.quote(text) else text


def _assignments(pairs: Iterable[Mapping[str, str]], key: str) -> str:
    value = key.replace("Key", "Value")
    return _words({pair[key]: pair[value] for pair in pairs})


def _words(assignments: Mapping[str, str]) -> str:
    return " ".join(shlex.quote(f"{key}={text}") for key, text in assignments.items())
