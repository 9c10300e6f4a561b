"""AWS's own documents, as far as they are modelled: AWS-RunShellScript, in its published words.

https://docs.aws.amazon.com/cli/latest/reference/ssm/get-document.html has its content. It belongs
to Amazon, so it can be read and sent but neither updated nor deleted, and its ARN has no account.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from localaws.services.ssm.document_schema import Version

# Published without anchors; taken as meant, though a pattern is searched for (F6.23).
_TIMEOUT = "([1-9][0-9]{0,4})|(1[0-6][0-9]{4})|(17[0-1][0-9]{3})|(172[0-7][0-9]{2})|(172800)"
_RUN_SHELL_SCRIPT: dict[str, Any] = {
    "schemaVersion": "1.2",
    "description": "Run a shell script or specify the commands to run.",
    "parameters": {
        "commands": {
            "type": "StringList",
            "description": "(Required) Specify a shell script or a command to run.",
            "minItems": 1,
            "displayType": "textarea",
        },
        "workingDirectory": {
            "type": "String",
            "default": "",
            "description": "(Optional) The path to the working directory on your instance.",
            "maxChars": 4096,
        },
        "executionTimeout": {
            "type": "String",
            "default": "3600",
            "description": "(Optional) The time in seconds for a command to complete before it is"
            " considered to have failed. Default is 3600 (1 hour). Maximum is 172800 (48 hours).",
            "allowedPattern": _TIMEOUT,
        },
    },
    "runtimeConfig": {
        "aws:runShellScript": {
            "properties": [
                {
                    "id": "0.aws:runShellScript",
                    "runCommand": "{{ commands }}",
                    "workingDirectory": "{{ workingDirectory }}",
                    "timeoutSeconds": "{{ executionTimeout }}",
                }
            ]
        }
    },
}


def _version() -> Version:
    document = copy.deepcopy(_RUN_SHELL_SCRIPT)
    document["parameters"]["executionTimeout"]["allowedPattern"] = f"^(?:{_TIMEOUT})$"
    return Version(json.dumps(_RUN_SHELL_SCRIPT, indent=4), "JSON", document)


VERSIONS = {"AWS-RunShellScript": _version()}
