"""Steps: the password of kmsuser, the crypto user with which KMS logs in to the cluster."""

from __future__ import annotations

import json
import secrets
import string
from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws, key_stores, ownership, secret_store
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import ParameterError, RefusedError, TransientError
from hsm_lifecycle.steps.key_store_ownership import require_owned

_PASSWORD_LENGTH = 32  # 7 to 32 letters and digits (F4.15)


def create_password(event: Event) -> dict[str, Any]:
    """Store a new random password in a secret that only the client and this function can read."""
    name, reader = event["PasswordSecretName"], client_role(event["InstanceId"])
    secretsmanager, secret = aws.client("secretsmanager"), _describe_secret(event)
    password = "".join(
        secrets.choice(string.ascii_letters + string.digits) for _ in range(_PASSWORD_LENGTH)
    )
    if secret and secret["IsDeleted"]:
        raise secret_store.still_being_deleted(name)
    if secret is None:
        if not secret_store.create(name, password, {ownership.STACK_TAG: event["StackId"]}):
            raise TransientError(f"The secret {name} exists, but is not described yet.")
    elif not secret["IsOwned"]:
        raise RefusedError(
            f"The secret {name} exists without this stack's tag {ownership.STACK_TAG}. If it is not"
            " needed, delete it without recovery and retry."
        )
    else:
        secret_store.put(name, password)
    secretsmanager.put_resource_policy(SecretId=name, ResourcePolicy=_readable_by(reader))
    return {}


def drop_password(event: Event) -> dict[str, Any]:
    """Delete the secret: KMS changes the password when it connects (F4.18)."""
    secret = _describe_secret(event)
    if secret and secret["IsOwned"] and not secret["IsDeleted"]:
        secret_store.delete(event["PasswordSecretName"])
    return {}


def update_password(event: Event) -> dict[str, Any]:
    """Give KMS the new password; requires a DISCONNECTED key store (F4.7)."""
    require_owned(event)
    key_stores.request(
        "update_custom_key_store",
        CustomKeyStoreId=event["KeyStoreId"],
        KeyStorePassword=secret_store.read(event["PasswordSecretName"]),
    )
    return {}


def _describe_secret(event: Event) -> dict[str, Any] | None:
    """Whether the secret is this stack's, and being deleted; None if there is none."""
    try:
        secret = aws.client("secretsmanager").describe_secret(SecretId=event["PasswordSecretName"])
    except ClientError as error:
        if aws.error_code(error) != "ResourceNotFoundException":
            raise
        return None
    tags = {tag["Key"]: tag["Value"] for tag in secret.get("Tags") or []}
    return {
        "IsOwned": tags.get(ownership.STACK_TAG) == event["StackId"],
        # Secrets Manager deletes asynchronously, and the name is taken until then.
        "IsDeleted": "DeletedDate" in secret,
    }


def client_role(instance_id: str) -> str:
    """The ARN of the client instance's role."""
    try:
        response = aws.client("ec2").describe_instances(InstanceIds=[instance_id])
        instance = response["Reservations"][0]["Instances"][0]
    except ClientError as error:
        if aws.error_code(error) != "InvalidInstanceID.NotFound":
            raise
        instance = {"State": {"Name": "terminated"}}
    if instance["State"]["Name"] in ("shutting-down", "terminated"):
        raise ParameterError(
            f"pClientInstanceId: {instance_id} is {instance['State']['Name']}. Name an instance"
            " with the CloudHSM CLI."
        )
    profile = instance.get("IamInstanceProfile")
    if not profile:
        raise ParameterError(
            f"pClientInstanceId: {instance_id} has no instance profile, so it cannot read secrets."
            " Attach one."
        )
    name = profile["Arn"].rpartition("/")[2]
    roles = aws.client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"][
        "Roles"
    ]
    if not roles:
        raise ParameterError(
            f"pClientInstanceId: the instance profile {name} of {instance_id} has no role, so the"
            " client cannot read secrets. Add the client's role to it and retry."
        )
    return str(roles[0]["Arn"])


def _readable_by(role: str) -> str:
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "LetTheClientReadIt",
                    "Effect": "Allow",
                    "Principal": {"AWS": role},
                    "Action": "secretsmanager:GetSecretValue",
                    "Resource": "*",
                }
            ],
        }
    )
