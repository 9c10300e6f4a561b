"""Termination protection, which keeps DeleteStack from a stack.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-protect-stacks.html
"""

from __future__ import annotations

from scripts.stack.account import Account, Json, OperatorError


def enable(account: Account, stack: Json) -> None:
    """Protect a stack."""
    _set(account, stack, True)


def lift(account: Account, stack: Json) -> None:
    """Let a stack be deleted."""
    _set(account, stack, False)


def require_lifted(stack: Json) -> None:
    """OperatorError: the stack is protected; the message has the command that lifts it."""
    if stack.get("EnableTerminationProtection"):
        name = stack["StackName"]
        raise OperatorError(
            f"Stack {name} has termination protection, so it was not deleted. To lift it:\n"
            f"  {command(name)}\n"
            f"then: make destroy STACK={name}"
        )


def command(name: str) -> str:
    """The command that lifts the protection of a stack."""
    return (
        "aws cloudformation update-termination-protection --no-enable-termination-protection"
        f" --stack-name {name}"
    )


def _set(account: Account, stack: Json, enabled: bool) -> None:
    account.client("cloudformation").update_termination_protection(
        StackName=stack["StackId"], EnableTerminationProtection=enabled
    )
