"""Values that no parameter, property or event may have, and what each would do if it were used.

The tables are explicit, so that each run tries the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.resource_properties import CLUSTER, KEY_STORE, resource_properties
from tests.support.response_endpoint import HOST

LONG = "a" * 4096  # CloudFormation's limit for a parameter's value

# Texts that mean something to what a parameter passes through.
INJECTIONS = {
    "command substitution": "$(touch /tmp/run)",
    "backticks": "`touch /tmp/run`",
    "end of a command": "a; touch /tmp/run",
    "pipe": "a | tee /tmp/run",
    "end of a single quote": "a'; touch /tmp/run; '",
    "end of a double quote": 'a"; touch /tmp/run; "',
    "line break": "a\ntouch /tmp/run",
    "carriage return": "a\r\ntouch /tmp/run",
    "variable": "${IFS}$HOME",
    "redirection": "a > /tmp/run",
    "end of JSON": '"}, "Step": "DeleteCluster", {"a": "',
    "backslash": "a\\",
    "JSONata": "{% $states.context %}",
    "intrinsic function": "States.Format('{}', $$.Execution.Id)",
    "JSONPath": "$.StackId",
    "context object": "$$.Execution.Id",
    "SSM document parameter": "{{ PasswordSecret }}",
    "SSM parameter": "{{ssm:/secret}}",
    "secret": "{{resolve:secretsmanager:/cloudhsm/secret}}",
    "secure string": "{{resolve:ssm-secure:/cloudhsm/secret}}",
    "pseudo parameter": "${AWS::AccountId}",
    "path": "../../../etc/passwd",
    "file of the CLI": "file:///etc/passwd",
    "wildcards": "*?",
    "option": "--cli-input-json",
    "format": "%s%n{0.__class__}",
    "markup": "<script>alert(1)</script>",
}
UNICODE = {
    "letters": "clüster",
    "digits": "٣",
    "full width": "ｃｌｕｓｔｅｒ",
    "emoji": "🔑🔑",
    "reversed": "\u202egnp.exe",
    "zero width": "a\u200bb",
    "line separator": "a\u2028b",
    "NUL": "a\x00b",
    "half of a pair": "\ud83d",
}
BLANK = {"blank": " ", "tab": "\t", "leading blank": " 1", "line break at the end": "cloudhsm\n"}
TOO_LONG = {"4 KB": LONG, "4 KB of digits": "9" * 4096}
NUMBERS = {
    "negative": "-1",
    "too large": "1000",
    "huge": "9" * 4000,
    "fraction": "1.5",
    "float": "1.0",
    "exponent": "1e1",
    "infinite": "inf",
    "no number": "NaN",
    "leading zero": "01",
    "sign": "+1",
    "hexadecimal": "0x1",
    "underscore": "1_0",
}
WRONG_TYPES: Mapping[str, Any] = {
    "nothing": None,
    "number": 1,
    "boolean": True,
    "fraction": 1.5,
    "list": ["a", "b"],
    "list of lists": [["a"]],
    "empty list": [],
    "object": {"a": "b"},
    "empty object": {},
}
TEXTS = {**INJECTIONS, **UNICODE, **BLANK, **TOO_LONG}
_NUMBERS = ("HsmsPerSubnet", "BackupRetentionDays")
_PACKAGES = ("ActivationPackage", "ClientPackage")
_LISTS = ("Subnets",)
# What some properties allow although others do not: a path, an option's dashes, or any text.
_ALLOWED = {
    "Reconcile": {name for name, text in TEXTS.items() if "{" not in text and "}" not in text},
    **dict.fromkeys(
        (
            "BackupCaCertSecretName",
            "BackupAdminPasswordSecretName",
            "CloudHsmAdminPasswordSecretName",
            "CloudHsmCustCaCertSecretName",
            "PasswordSecretName",
        ),
        frozenset({"path", "option"}),
    ),
    "KeyStoreName": {"option"},
}
MISSING = object()
_NOT_READ = ("ServiceToken", "ServiceTimeout", "TemplateVersion")
RESOURCES = {"rCloudHsmCluster": CLUSTER, "rCloudHsmKeyStore": KEY_STORE}


def properties() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Each refused value: the resource, the property, what is wrong, and all its properties."""
    for logical_id, template in RESOURCES.items():
        valid = resource_properties(template)
        for name in valid.keys() - set(_NOT_READ):
            for what, value in _values(name).items():
                changed = {**valid, name: value}
                if value is MISSING:
                    del changed[name]
                yield logical_id, name, what, changed


def _values(name: str) -> dict[str, Any]:
    """The values that a property must not have."""
    allowed = _ALLOWED.get(name, ())
    texts = {what: text for what, text in TEXTS.items() if what not in allowed}
    values: dict[str, Any] = {"missing": MISSING, **WRONG_TYPES}
    if name in _NUMBERS:
        return values | texts | NUMBERS | {"empty": ""}
    if name in _LISTS:
        return (
            {what: value for what, value in values.items() if what != "list of lists"}
            | {"text": "subnet-01234567", "empty text": "", "mixed": ["subnet-01234567", 1]}
            | {f"list of {what}": [text] for what, text in texts.items()}
        )
    if name in _PACKAGES:
        valid = resource_properties(CLUSTER)[name]
        return (
            values
            | {"text": "cloudhsm-cli"}
            | {f"no {part}": {k: v for k, v in valid.items() if k != part} for part in valid}
            | {f"{part}: {what}": {**valid, part: v} for part in valid for what, v in texts.items()}
        )
    return values | texts


# Addresses to which no response may go.
URLS = (
    "",
    "file:///etc/passwd",
    "file://localhost/etc/passwd",
    f"file://{HOST}/etc/passwd",
    f"http://{HOST}/one",
    f"ftp://{HOST}/one",
    f"gopher://{HOST}/one",
    f"//{HOST}/one",
    HOST,
    "data:text/plain,one",
    "javascript:alert(1)",
    "https://127.0.0.1/one",
    "https://[::1]/one",
    "https://2130706433/one",
    "https://0x7f000001/one",
    "https://169.254.169.254/latest/meta-data",
    "https://[fd00:ec2::254]/latest/meta-data",
    "https://localhost/one",
    "https://example.com/one",
    f"https://{HOST}.example.com/one",
    f"https://{HOST}./one",
    f"https://evil{HOST}/one",
    f"https://evil.{HOST}/one",
    f"https://example.com/{HOST}",
    f"https://example.com?{HOST}",
    f"https://example.com#@{HOST}/one",
    f"https://example.com\\@{HOST}/one",
    f"https://{HOST}\\@example.com/one",
    f"https://{HOST}\\.example.com/one",
    f"https://{HOST}@example.com/one",
    f"https://user@{HOST}/one",
    f"https://user:password@{HOST}/one",
    f"https://{HOST}:8443/one",
    f"https://{HOST}:80/one",
    f"https://{HOST}:0/one",
    f"https://{HOST}:port/one",
    f"https://{HOST}:99999/one",
    f"https://{HOST}%2eexample.com/one",
    f"https://{HOST}%00.example.com/one",
    "https://[/one",
    f"https:/{HOST}/one",
    f"https:///{HOST}/one",
    f" https://{HOST}/one",
    f"https://{HOST}/one\n",
    f"https://{HOST}/one two",
    f"https://{HOST}/one\r\nHost: example.com",
    f"ht\ntps://{HOST}/one",
    f"https://{HOST[:-1]}\n{HOST[-1]}/one",
    f"https://{HOST}/\x00",
    f"https://{HOST}/ü",
    f"https://{HOST}/\ud83d",
    HOST.replace("s3", "ѕ3").join(("https://", "/one")),
    f"https://{HOST.replace('.', '。')}/one",
    "https://evil.s3.amazonaws.com/one",
    "https://cloudformation-custom-resource-response-evil.s3.amazonaws.com/one",
    "https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com.cn/one",
    "https://cloudformation-custom-resource-response-useast1.s3.eu-west-1.amazonaws.com/one",
    "https://cloudformation-custom-resource-response-useast1.s3-website.amazonaws.com/one",
    "https://s3.amazonaws.com/cloudformation-custom-resource-response-useast1/one",
)

# What replaces a field of an event that CloudFormation sent; MISSING removes it.
EVENTS: tuple[tuple[str, Any], ...] = (
    *(
        (name, value)
        for name in (
            "RequestType",
            "RequestId",
            "StackId",
            "LogicalResourceId",
            "ResponseURL",
            "PhysicalResourceId",
        )
        for value in (MISSING, None, 1, True, ["Update"], {"a": "b"})
    ),
    *(
        (name, value)
        for name in ("ResourceProperties", "OldResourceProperties")
        for value in (MISSING, None, 1, True, "{}", [])
    ),
    *(("RequestType", kind) for kind in ("", "create", "CREATE", "Drop", "Update ", "Creat\u0435")),
    *(
        ("RequestId", text)
        for text in ("", "a/b", "a:b", "*", "a b", "a\n", "ü", "\ud83d", LONG, "$.StackId")
    ),
    *(
        ("LogicalResourceId", text)
        for text in ("", "r-1", "r 1", "rCloudHsmCluster\n", "ü", "\ud83d", LONG, "{{resolve:a}}")
    ),
    *(("ResponseURL", url) for url in URLS),
)
OTHER_FORMS: tuple[Any, ...] = (
    None,
    True,
    1,
    1.5,
    "",
    "Delete",
    [],
    ["Delete"],
    {},
    {"Records": []},
    {"Request": 1},
)
