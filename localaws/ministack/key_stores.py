"""KMS keys in a key store: created there and used through its HSMs.

ministack only records such a key's Origin.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from localaws.core.api_error import ApiError
from localaws.ministack.access import ministack
from localaws.services.cloudhsmv2.provider import CloudHsmProvider

Response = tuple[int, dict[str, str], bytes]
Handler = Callable[[str, str, Any, bytes, Any], Awaitable[Response]]

ORIGIN = "AWS_CLOUDHSM"
# The operations that need the HSMs.
CRYPTOGRAPHIC = frozenset(
    {
        "Decrypt",
        "Encrypt",
        "GenerateDataKey",
        "GenerateDataKeyPair",
        "GenerateDataKeyPairWithoutPlaintext",
        "GenerateDataKeyWithoutPlaintext",
        "ReEncrypt",
    }
)
# F4.23: the only key parameters and the operations that keys in a key store do not support.
REQUIRED = {"KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT", "MultiRegion": False}
UNSUPPORTED = frozenset({"EnableKeyRotation", "GetParametersForImport", "RotateKeyOnDemand"})
# ministack's ciphertext begins with the id of its key.
ID_LENGTH = 36

_kms = ministack("services.kms")


def with_keys_in_key_stores(provider: Callable[[], CloudHsmProvider], kms: Handler) -> Handler:
    """The handler of KMS, extended to keys in key stores."""

    async def handle(method: str, path: str, headers: Any, body: bytes, query: Any) -> Response:
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        params = json.loads(body or b"{}")
        if action == "CreateKey" and (params.get("CustomKeyStoreId") or _in_key_store(params)):
            _check_create(params)
            store = params.pop("CustomKeyStoreId")
            plain = json.dumps({**params, "Origin": "AWS_KMS"}).encode()
            return _put_into(provider(), store, await kms(method, path, headers, plain, query))
        record = _key_of(params)
        if record is None or not _in_key_store(record):
            return await kms(method, path, headers, body, query)
        _check_use(provider(), record, action)
        response = await kms(method, path, headers, body, query)
        return _after(provider(), record, action, params, response)

    return handle


def _in_key_store(key: Mapping[str, Any]) -> bool:
    return bool(key.get("Origin") == ORIGIN)


def _check_create(params: Mapping[str, Any]) -> None:
    """Reject parameters of CreateKey that no key store supports."""
    if not params.get("CustomKeyStoreId") or not _in_key_store(params):
        raise ApiError(
            "ValidationException", f"CustomKeyStoreId and Origin {ORIGIN} require each other."
        )
    for name, value in REQUIRED.items():
        if params.get(name, value) != value:
            raise ApiError(
                "UnsupportedOperationException", f"{name} must be {value} in a key store."
            )


def _put_into(provider: CloudHsmProvider, store: str, response: Response) -> Response:
    """Put the key that ministack has created into the store, or delete it on failure."""
    status, headers, body = response
    if status != 200:
        return response
    created = json.loads(body)
    key = created["KeyMetadata"]["KeyId"]
    try:
        provider.create_key(store, key)
    except ApiError:
        del _kms._keys[key]
        raise
    _kms._keys[key].update(Origin=ORIGIN, CustomKeyStoreId=store)
    return status, headers, json.dumps(_described(provider, created)).encode()


def _key_of(params: Mapping[str, Any]) -> dict[str, Any] | None:
    """ministack's record of the key that a request names, if only in its ciphertext."""
    named = params.get("KeyId") or params.get("SourceKeyId")
    if not named:
        try:
            named = base64.b64decode(params.get("CiphertextBlob") or "")[:ID_LENGTH].decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
    record: dict[str, Any] | None = _kms._resolve_key(named) if named else None
    return record


def _check_use(provider: CloudHsmProvider, record: Mapping[str, Any], action: str) -> None:
    key = record["KeyId"]
    if provider.key_state(key) is None:
        _kms._keys.pop(key, None)
        raise ApiError("NotFoundException", f"Key '{record['Arn']}' does not exist")
    if action in UNSUPPORTED:
        raise ApiError(
            "UnsupportedOperationException", f"Keys in a key store do not support {action}."
        )
    if action in CRYPTOGRAPHIC:
        provider.use_key(key)


def _after(
    provider: CloudHsmProvider,
    record: Mapping[str, Any],
    action: str,
    params: Mapping[str, Any],
    response: Response,
) -> Response:
    """Report a successful request to the key store, and complete DescribeKey's response."""
    status, headers, body = response
    if status != 200:
        return response
    if action == "ScheduleKeyDeletion":
        provider.schedule_key_deletion(record["KeyId"], int(params.get("PendingWindowInDays", 30)))
    if action == "CancelKeyDeletion":
        provider.cancel_key_deletion(record["KeyId"])
    if action != "DescribeKey":
        return response
    return status, headers, json.dumps(_described(provider, json.loads(body))).encode()


def _described(provider: CloudHsmProvider, response: dict[str, Any]) -> dict[str, Any]:
    """The response of CreateKey or DescribeKey, completed with the key store's part."""
    metadata = response["KeyMetadata"]
    # KMS has no id for key material in HSMs.
    metadata.pop("CurrentKeyMaterialId", None)
    store = _kms._keys[metadata["KeyId"]]["CustomKeyStoreId"]
    stores = provider.call("DescribeCustomKeyStores", {"CustomKeyStoreId": store})
    # ministack's state stands, such as Disabled, unless the key store has another one.
    state = provider.key_state(metadata["KeyId"])
    if state != "Enabled":
        metadata.update(KeyState=state, Enabled=False)
    metadata.update(
        Origin=ORIGIN,
        CustomKeyStoreId=store,
        CloudHsmClusterId=stores["CustomKeyStores"][0]["CloudHsmClusterId"],
    )
    return response
