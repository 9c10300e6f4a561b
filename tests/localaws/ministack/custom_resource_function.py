"""Custom resources that answer as their properties say."""

from __future__ import annotations

import json
from typing import Any

from tests.localaws.ministack.support import Json, Try, fresh, function, role

# Answers each request as its resource's property of the same name says, and prints it.
CODE = """
import json, time, urllib.request

def handler(event, context):
    print(json.dumps(event))
    answer = {
        "Status": "SUCCESS",
        "PhysicalResourceId": event.get("PhysicalResourceId", "thing-1"),
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    how = event["ResourceProperties"].get(event["RequestType"], {})
    time.sleep(float(how.get("Sleep", 0)))
    if "Crash" in how:
        raise RuntimeError(how["Crash"])
    if "Silent" in how:
        return
    answer.update(how.get("Answer", {}))
    answer = {name: value for name, value in answer.items() if value != "absent"}
    body = how["Raw"].encode() if "Raw" in how else json.dumps(answer).encode()
    headers = {"Content-Type": how.get("ContentType", "")}
    request = urllib.request.Request(event["ResponseURL"], body, headers, method="PUT")
    with urllib.request.urlopen(request):
        pass
"""


class Things:
    """A stack of a function and of custom resources behind it."""

    def __init__(self, stack: Try) -> None:
        self.stack = stack
        self.function_name = fresh("asked")

    def resources(self, things: Json) -> Json:
        asked: Json = {"FunctionName": self.function_name, "Timeout": 900}
        resources = {
            "FunctionRole": role("lambda", everything=True),
            "Function": function(CODE, **asked),
        }
        for name, properties in things.items():
            more = dict(properties)
            attributes = {key: more.pop(key) for key in ("DependsOn",) if key in more}
            token = {"ServiceToken": {"Fn::GetAtt": ["Function", "Arn"]}}
            resources[name] = {
                "Type": "Custom::Thing",
                "Properties": {**token, **more},
                **attributes,
            }
        return resources

    def create(self, things: Json | None = None, /, **more: Any) -> str:
        """A stack with these things, or with one called Thing that has these properties."""
        return self.stack.create(self.resources(things or {"Thing": more}))

    def update(self, things: Json | None = None, /, **more: Any) -> str:
        return self.stack.update(self.resources(things or {"Thing": more}))

    def requests(self) -> list[Json]:
        """What the function was asked, earliest first."""
        lines = self.stack.logs(f"/aws/lambda/{self.function_name}")
        return [json.loads(line) for line in lines if line.startswith("{")]

    def asked(self) -> list[str]:
        return [request["RequestType"] for request in self.requests()]

    def seconds(self, first: str, last: str, logical_id: str = "Thing") -> float:
        """Virtual seconds between two statuses of a resource."""
        at = {
            event["event"]: event["at"]
            for event in self.stack.aws.admin.event_log()
            if event["subject"] == logical_id and event.get("stack") == self.stack.name
        }
        return float(at[last] - at[first])

    def invoked(self) -> list[float]:
        """When the function was invoked, in virtual seconds since the start."""
        return self._moments("Invoked")

    def succeeded(self) -> list[float]:
        """When the function ended well."""
        return self._moments("Succeeded")

    def _moments(self, what: str) -> list[float]:
        return [
            event["at"]
            for event in self.stack.aws.admin.event_log()
            if event["subject"] == self.function_name and event["event"] == what
        ]
