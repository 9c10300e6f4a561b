"""The client: replaced, stopped by its owner, terminated behind our back, or never online."""

from __future__ import annotations

from typing import Any

from rehearsal.by_hand import run_on_client
from rehearsal.life import LEFT_BY_CLOUDHSM, LEFT_WITH_BACKUPS, Life

Json = dict[str, Any]

AN_IMAGE, ANOTHER_IMAGE = "ami-0c12c3d4e5f6a7b82", "ami-0d12c3d4e5f6a7b83"
NEWER_IMAGE = "ami-0e12c3d4e5f6a7b84"
# Of the operator, because nobody but Amazon can change those of Amazon.
LATEST_IMAGE = "/images/latest"
# Virtual seconds within which an instance has stopped or is gone.
A_MINUTE = 60


def client_is_replaced(life: Life) -> None:
    """A newer image, another one, a subnet, a VPC: the new client reaches the HSMs, none else."""
    images = life.aws.client("ssm")
    with life.step("Create: 1 HSM per subnet"):
        images.put_parameter(Name=LATEST_IMAGE, Value=AN_IMAGE, Type="String")
        life.request(pClientAmiSsmParameter=LATEST_IMAGE)
        life.expect_stack("CREATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        _expect_client(life)

    with life.step("The parameter names a newer image"), life.cluster_untouched():
        images.put_parameter(Name=LATEST_IMAGE, Value=NEWER_IMAGE, Overwrite=True)
        life.request(pReconcile="again")
        life.expect_stack("UPDATE_COMPLETE")
        life.expect("image", _client(life)["ImageId"], NEWER_IMAGE)
        _expect_client(life)

    with life.step("Another image"), life.cluster_untouched():
        life.request(pClientAmiId=ANOTHER_IMAGE)
        life.expect_stack("UPDATE_COMPLETE")
        life.expect("image", _client(life)["ImageId"], ANOTHER_IMAGE)
        _expect_client(life)

    with life.step("Another subnet"), life.cluster_untouched():
        life.request(pClientSubnet=life.aws.subnets[1])
        life.expect_stack("UPDATE_COMPLETE")
        _expect_client(life)

    with life.step("Another VPC, and so another group"), life.cluster_untouched():
        vpc, subnet = _peered_vpc(life)
        life.request(pClientVpcId=vpc, pClientSubnet=subnet)
        life.expect_stack("UPDATE_COMPLETE")
        _expect_client(life)

    with life.step("Delete"):
        life.delete()
        images.delete_parameter(Name=LATEST_IMAGE)
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def client_was_stopped(life: Life) -> None:
    """Its owner has stopped the client: it is started, used, and stopped again, online or not."""
    with life.step("Create: 1 HSM per subnet"):
        life.request()
        life.expect_stack("CREATE_COMPLETE")
        client = _client(life)["InstanceId"]
        life.aws.client("ec2").stop_instances(InstanceIds=[client])
        life.control.advance(A_MINUTE)
        life.expect("client", _client(life)["State"]["Name"], "stopped")

    with life.step("Grow to 2 per subnet"):
        life.request(pHsmsPerSubnet=2)
        life.expect_stack("UPDATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        _expect_stopped_again(life, client)

    with life.step("Grow to 3 per subnet, but Systems Manager refuses the document"):
        refusal = {"code": "InvalidDocument", "message": "The document is gone."}
        life.fault(operation="SendCommand", **refusal)
        life.request(pHsmsPerSubnet=3)
        life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        life.expect_reason("SendCommand: InvalidDocument: The document is gone.")
        life.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        _expect_stopped_again(life, client)

    with life.step("Grow to 3 per subnet, cancelled while a script is to run"):
        life.fault(operation="SendCommand", pause=True)
        life.start(pHsmsPerSubnet=3)
        with life.standing_still():
            life.cancel()
        life.wait()
        life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        _expect_stopped_again(life, client)

    with life.step("Grow to 3 per subnet, but the agent has lost its way"):
        life.fault(agent="offline")
        life.request(pHsmsPerSubnet=3)
        life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        life.expect_reason("SSM agent", "ConnectionLost after 10 minutes", "pClientSubnet")
        life.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        _expect_stopped_again(life, client)

    with life.step("Delete: needs no client"):
        starts = _starts(life, client)
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect("starts of the client", _starts(life, client), starts)
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def client_was_terminated(life: Life) -> None:
    """The client is gone: an update says so before it does anything, a new image brings another."""
    with life.step("Create: 1 HSM per subnet"):
        life.request()
        life.expect_stack("CREATE_COMPLETE")
        _terminate_client(life)

    with life.step("Grow to 2 per subnet: refused"), life.untouched():
        life.request(pHsmsPerSubnet=2)
        life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        life.expect_reason("is terminated", "pClientAmiId")

    with life.step("Grow to 2 per subnet with another image"):
        life.request(pClientAmiId=ANOTHER_IMAGE)
        life.expect_stack("UPDATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        _expect_client(life)
        _terminate_client(life)

    with life.step("Shrink to 0: needs no client"):
        life.request(pHsmsPerSubnet=0)
        life.expect_stack("UPDATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=0)

    with life.step("Delete: needs no client"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def client_never_comes_online(life: Life) -> None:
    """The client's SSM agent never registers: after ten minutes the creation fails and says so."""
    with life.step("Create, but the agent never does"):
        life.fault(agent="never")
        life.request()
        life.expect_stack("ROLLBACK_COMPLETE")
        life.expect_reason("SSM agent", "Absent after 10 minutes", "pClientSubnet")
        life.expect_remaining(*LEFT_BY_CLOUDHSM, "stack hsm")

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_BY_CLOUDHSM)


def _client(life: Life) -> Json:
    """The client as EC2 describes it."""
    client = life.stack.outputs()["oClientInstanceId"]
    found = life.aws.client("ec2").describe_instances(InstanceIds=[client])
    return dict(found["Reservations"][0]["Instances"][0])


def _expect_client(life: Life) -> None:
    """There is one client, it has the CLI to work, and its group is the only one that is let in."""
    answer = run_on_client(life, "/opt/cloudhsm/bin/cloudhsm-cli user list")
    life.expect("error code of user list", '"error_code": 0' in answer, True)
    inventory, client = life.control.inventory(), _client(life)
    instances = [instance["InstanceId"] for instance in inventory["ec2"]["instances"]]
    life.expect("instances", instances, [client["InstanceId"]])
    own, group = life.cluster()["SecurityGroup"], client["SecurityGroups"][0]["GroupId"]
    described = life.aws.client("ec2").describe_security_groups(GroupIds=[own])
    admitted = {
        pair["GroupId"]
        for rule in described["SecurityGroups"][0]["IpPermissions"]
        for pair in rule["UserIdGroupPairs"]
    }
    life.expect("groups that are let in", admitted, {own, group})


def _peered_vpc(life: Life) -> tuple[str, str]:
    """A VPC and a subnet in it, as good as peered with that of the cluster."""
    ec2 = life.aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.99.0.0/24")["Subnet"]["SubnetId"]
    return vpc, subnet


def _expect_stopped_again(life: Life, client: str) -> None:
    life.control.advance(A_MINUTE)
    life.expect("client", _client(life)["InstanceId"], client)
    life.expect("client", _client(life)["State"]["Name"], "stopped")


def _starts(life: Life, client: str) -> int:
    return sum(
        event["subject"] == client and event["event"] == "pending"
        for event in life.control.timeline()
    )


def _terminate_client(life: Life) -> None:
    client = _client(life)["InstanceId"]
    life.aws.client("ec2").terminate_instances(InstanceIds=[client])
    life.control.advance(A_MINUTE)
