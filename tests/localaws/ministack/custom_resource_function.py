"""Custom resources whose function responds as their properties say."""

from __future__ import annotations

import json
from typing import Any

from tests.localaws.ministack.support import Json, SampleStack, function, role, unique_name

# Prints each request and responds as the property named after the request type says.
CODE = """
import json, time, urllib.request

def handler(event, context):
    print(json.dumps(event))
    response = {
        "Status": "SUCCESS",
        "PhysicalResourceId": event.get("PhysicalResourceId", "example-1"),
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    behavior = event["ResourceProperties"].get(event["RequestType"], {})
    time.sleep(float(behavior.get("Sleep", 0)))
    if "Crash" in behavior:
        raise RuntimeError(behavior["Crash"])
    if "Silent" in behavior:
        return
    response.update(behavior.get("Response", {}))
    response = {name: value for name, value in response.items() if value != "absent"}
    body = behavior["Raw"].encode() if "Raw" in behavior else json.dumps(response).encode()
    headers = {"Content-Type": behavior.get("ContentType", "")}
    request = urllib.request.Request(event["ResponseURL"], body, headers, method="PUT")
    with urllib.request.urlopen(request):
        pass
"""


class CustomResourceStack:
    """A stack of a function and custom resources that it provides."""

    def __init__(self, stack: SampleStack) -> None:
        self.stack = stack
        self.function_name = unique_name("custom")

    def resources(self, custom: Json) -> Json:
        resources = {
            "FunctionRole": role("lambda", everything=True),
            "Function": function(CODE, FunctionName=self.function_name, Timeout=900),
        }
        for logical_id, given in custom.items():
            properties = {
                "ServiceToken": {"Fn::GetAtt": ["Function", "Arn"]},
                **{key: value for key, value in given.items() if key != "DependsOn"},
            }
            resources[logical_id] = {"Type": "Custom::Example", "Properties": properties}
            if "DependsOn" in given:
                resources[logical_id]["DependsOn"] = given["DependsOn"]
        return resources

    def create(self, custom: Json | None = None, /, **properties: Any) -> str:
        """Create the stack with these resources, or with one, Example, that has the properties."""
        return self.stack.create(self.resources(custom or {"Example": properties}))

    def update(self, custom: Json | None = None, /, **properties: Any) -> str:
        """Update the stack; as for create."""
        return self.stack.update(self.resources(custom or {"Example": properties}))

    def requests(self) -> list[Json]:
        """The requests to the function, earliest first."""
        lines = self.stack.logs(f"/aws/lambda/{self.function_name}")
        return [json.loads(line) for line in lines if line.startswith("{")]

    def request_types(self) -> list[str]:
        return [request["RequestType"] for request in self.requests()]

    def seconds(self, first: str, last: str, logical_id: str = "Example") -> float:
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
        """When the function succeeded."""
        return self._moments("Succeeded")

    def _moments(self, kind: str) -> list[float]:
        return [
            event["at"]
            for event in self.stack.aws.admin.event_log()
            if event["subject"] == self.function_name and event["event"] == kind
        ]
