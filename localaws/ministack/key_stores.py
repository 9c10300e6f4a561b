"""KMS keys that live in a key store: made there, used through its HSMs, counted by it.

Otherwise in ministack: a key's Origin is noted, and that is all.
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

Answer = tuple[int, dict[str, str], bytes]
Handler = Callable[[str, str, Any, bytes, Any], Awaitable[Answer]]

ORIGIN = "AWS_CLOUDHSM"
# Of all the things that KMS does with a key, these ask the HSMs behind a key in a key store.
USES = frozenset(
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
# F4.23: what a key in a key store may not be, and what cannot be done with it.
ONLY = {"KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT", "MultiRegion": False}
REFUSED = frozenset({"EnableKeyRotation", "GetParametersForImport", "RotateKeyOnDemand"})
# ministack's ciphertext begins with the id of its key.
LENGTH_OF_ID = 36

_kms = ministack("services.kms")


def with_keys_in_key_stores(model: Callable[[], CloudHsmProvider], kms: Handler) -> Handler:
    """KMS, where a key may live in a key store and then depends on its HSMs."""

    async def handle(method: str, path: str, headers: Any, body: bytes, query: Any) -> Answer:
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        given = json.loads(body or b"{}")
        if action == "CreateKey" and (given.get("CustomKeyStoreId") or _is_ours(given)):
            _refuse(given)
            store = given.pop("CustomKeyStoreId")
            plain = json.dumps({**given, "Origin": "AWS_KMS"}).encode()
            return _put_into(model(), store, await kms(method, path, headers, plain, query))
        record = _key_of(given)
        if record is None or not _is_ours(record):
            return await kms(method, path, headers, body, query)
        _refuse_use(model(), record, action)
        answer = await kms(method, path, headers, body, query)
        return _followed(model(), record, action, given, answer)

    return handle


def _is_ours(described: Mapping[str, Any]) -> bool:
    return bool(described.get("Origin") == ORIGIN)


def _refuse(given: Mapping[str, Any]) -> None:
    """Refuse a CreateKey that no key store would take."""
    if not given.get("CustomKeyStoreId") or not _is_ours(given):
        raise ApiError(
            "ValidationException", f"CustomKeyStoreId and the Origin {ORIGIN} go together."
        )
    for name, only in ONLY.items():
        if given.get(name, only) != only:
            raise ApiError(
                "UnsupportedOperationException", f"{name} must be {only} in a key store."
            )


def _put_into(model: CloudHsmProvider, store: str, answer: Answer) -> Answer:
    """Put the key that ministack has made into the store, or do away with it."""
    status, headers, body = answer
    if status != 200:
        return answer
    made = json.loads(body)
    key = made["KeyMetadata"]["KeyId"]
    try:
        model.create_key(store, key)
    except ApiError:
        del _kms._keys[key]
        raise
    _kms._keys[key].update(Origin=ORIGIN, CustomKeyStoreId=store)
    return status, headers, json.dumps(_described(model, made)).encode()


def _key_of(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """ministack's record of the key that a request is about, which its ciphertext may name."""
    named = given.get("KeyId") or given.get("SourceKeyId")
    if not named:
        try:
            named = base64.b64decode(given.get("CiphertextBlob") or "")[:LENGTH_OF_ID].decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
    record: dict[str, Any] | None = _kms._resolve_key(named) if named else None
    return record


def _refuse_use(model: CloudHsmProvider, record: Mapping[str, Any], action: str) -> None:
    key = record["KeyId"]
    if model.key_state(key) is None:
        _kms._keys.pop(key, None)
        raise ApiError("NotFoundException", f"Key '{record['Arn']}' does not exist")
    if action in REFUSED:
        raise ApiError(
            "UnsupportedOperationException", f"{action} is not for a key in a key store."
        )
    if action in USES:
        model.use_key(key)


def _followed(
    model: CloudHsmProvider,
    record: Mapping[str, Any],
    action: str,
    given: Mapping[str, Any],
    answer: Answer,
) -> Answer:
    """What the store learns of a request that was granted, and what it adds to the answer."""
    status, headers, body = answer
    if status != 200:
        return answer
    if action == "ScheduleKeyDeletion":
        model.schedule_key_deletion(record["KeyId"], int(given.get("PendingWindowInDays", 30)))
    if action == "CancelKeyDeletion":
        model.cancel_key_deletion(record["KeyId"])
    if action != "DescribeKey":
        return answer
    return status, headers, json.dumps(_described(model, json.loads(body))).encode()


def _described(model: CloudHsmProvider, answer: dict[str, Any]) -> dict[str, Any]:
    """CreateKey's or DescribeKey's answer with what the store has to do with the key."""
    metadata = answer["KeyMetadata"]
    # Its material is in the HSMs, and KMS has no id for it.
    metadata.pop("CurrentKeyMaterialId", None)
    store = _kms._keys[metadata["KeyId"]]["CustomKeyStoreId"]
    stores = model.call("DescribeCustomKeyStores", {"CustomKeyStoreId": store})["CustomKeyStores"]
    # A key that its owner has disabled is Disabled as long as it could be used otherwise.
    state = model.key_state(metadata["KeyId"])
    if state != "Enabled":
        metadata.update(KeyState=state, Enabled=False)
    metadata.update(
        Origin=ORIGIN,
        CustomKeyStoreId=store,
        CloudHsmClusterId=stores[0]["CloudHsmClusterId"],
    )
    return answer
