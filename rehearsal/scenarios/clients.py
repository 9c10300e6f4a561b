"""The client: replaced, stopped by its owner, terminated behind our back, or never online."""

from __future__ import annotations

from typing import Any

from rehearsal.drivers.operator import run_on_client
from rehearsal.drivers.stack import LEFT_BY_CLOUDHSM, LEFT_WITH_BACKUPS, StackDriver

Json = dict[str, Any]

AN_IMAGE, ANOTHER_IMAGE = "ami-0c12c3d4e5f6a7b82", "ami-0d12c3d4e5f6a7b83"
NEWER_IMAGE = "ami-0e12c3d4e5f6a7b84"
# Of the operator, because nobody but Amazon can change those of Amazon.
LATEST_IMAGE = "/images/latest"
# Virtual seconds within which an instance has stopped or is gone.
A_MINUTE = 60


def client_is_replaced(driver: StackDriver) -> None:
    """A newer image, another one, a subnet, a VPC: the new client reaches the HSMs, none else."""
    images = driver.aws.client("ssm")
    with driver.step("Create: 1 HSM per subnet"):
        images.put_parameter(Name=LATEST_IMAGE, Value=AN_IMAGE, Type="String")
        driver.request(pClientAmiSsmParameter=LATEST_IMAGE)
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        _expect_client(driver)

    with driver.step("The parameter names a newer image"), driver.cluster_untouched():
        images.put_parameter(Name=LATEST_IMAGE, Value=NEWER_IMAGE, Overwrite=True)
        driver.request(pReconcile="again")
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect("image", _client(driver)["ImageId"], NEWER_IMAGE)
        _expect_client(driver)

    with driver.step("Another image"), driver.cluster_untouched():
        driver.request(pClientAmiId=ANOTHER_IMAGE)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect("image", _client(driver)["ImageId"], ANOTHER_IMAGE)
        _expect_client(driver)

    with driver.step("Another subnet"), driver.cluster_untouched():
        driver.request(pClientSubnet=driver.aws.subnets[1])
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_client(driver)

    with driver.step("Another VPC, and so another group"), driver.cluster_untouched():
        vpc, subnet = _peered_vpc(driver)
        driver.request(pClientVpcId=vpc, pClientSubnet=subnet)
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_client(driver)

    with driver.step("Delete"):
        driver.delete()
        images.delete_parameter(Name=LATEST_IMAGE)
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def client_was_stopped(driver: StackDriver) -> None:
    """Its owner has stopped the client: it is started, used, and stopped again, online or not."""
    with driver.step("Create: 1 HSM per subnet"):
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        client = _client(driver)["InstanceId"]
        driver.aws.client("ec2").stop_instances(InstanceIds=[client])
        driver.admin.advance(A_MINUTE)
        driver.expect("client", _client(driver)["State"]["Name"], "stopped")

    with driver.step("Grow to 2 per subnet"):
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        _expect_stopped_again(driver, client)

    with driver.step("Grow to 3 per subnet, but Systems Manager refuses the document"):
        refusal = {"code": "InvalidDocument", "message": "The document is gone."}
        driver.fault(operation="SendCommand", **refusal)
        driver.request(pHsmsPerSubnet=3)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("SendCommand: InvalidDocument: The document is gone.")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        _expect_stopped_again(driver, client)

    with driver.step("Grow to 3 per subnet, cancelled while a script is to run"):
        driver.fault(operation="SendCommand", pause=True)
        driver.start(pHsmsPerSubnet=3)
        with driver.standing_still():
            driver.cancel()
        driver.wait()
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        _expect_stopped_again(driver, client)

    with driver.step("Grow to 3 per subnet, but the agent has lost its way"):
        driver.fault(agent="offline")
        driver.request(pHsmsPerSubnet=3)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("SSM agent", "ConnectionLost after 10 minutes", "pClientSubnet")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        _expect_stopped_again(driver, client)

    with driver.step("Delete: needs no client"):
        starts = _starts(driver, client)
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect("starts of the client", _starts(driver, client), starts)
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def client_was_terminated(driver: StackDriver) -> None:
    """The client is gone: an update says so before it does anything, a new image brings another."""
    with driver.step("Create: 1 HSM per subnet"):
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        _terminate_client(driver)

    with driver.step("Grow to 2 per subnet: refused"), driver.untouched():
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("is terminated", "pClientAmiId")

    with driver.step("Grow to 2 per subnet with another image"):
        driver.request(pClientAmiId=ANOTHER_IMAGE)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        _expect_client(driver)
        _terminate_client(driver)

    with driver.step("Shrink to 0: needs no client"):
        driver.request(pHsmsPerSubnet=0)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=0)

    with driver.step("Delete: needs no client"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def client_never_comes_online(driver: StackDriver) -> None:
    """The client's SSM agent never registers: after ten minutes the creation fails and says so."""
    with driver.step("Create, but the agent never does"):
        driver.fault(agent="never")
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("SSM agent", "Absent after 10 minutes", "pClientSubnet")
        driver.expect_remaining(*LEFT_BY_CLOUDHSM, "stack hsm")

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_BY_CLOUDHSM)


def _client(driver: StackDriver) -> Json:
    """The client as EC2 describes it."""
    client = driver.stack.outputs()["oClientInstanceId"]
    found = driver.aws.client("ec2").describe_instances(InstanceIds=[client])
    return dict(found["Reservations"][0]["Instances"][0])


def _expect_client(driver: StackDriver) -> None:
    """There is one client, it has the CLI to work, and its group is the only one that is let in."""
    answer = run_on_client(driver, "/opt/cloudhsm/bin/cloudhsm-cli user list")
    driver.expect("error code of user list", '"error_code": 0' in answer, True)
    inventory, client = driver.admin.inventory(), _client(driver)
    instances = [instance["InstanceId"] for instance in inventory["ec2"]["instances"]]
    driver.expect("instances", instances, [client["InstanceId"]])
    own, group = driver.cluster()["SecurityGroup"], client["SecurityGroups"][0]["GroupId"]
    described = driver.aws.client("ec2").describe_security_groups(GroupIds=[own])
    admitted = {
        pair["GroupId"]
        for rule in described["SecurityGroups"][0]["IpPermissions"]
        for pair in rule["UserIdGroupPairs"]
    }
    driver.expect("groups that are let in", admitted, {own, group})


def _peered_vpc(driver: StackDriver) -> tuple[str, str]:
    """A VPC and a subnet in it, as good as peered with that of the cluster."""
    ec2 = driver.aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.99.0.0/24")["Subnet"]["SubnetId"]
    return vpc, subnet


def _expect_stopped_again(driver: StackDriver, client: str) -> None:
    driver.admin.advance(A_MINUTE)
    driver.expect("client", _client(driver)["InstanceId"], client)
    driver.expect("client", _client(driver)["State"]["Name"], "stopped")


def _starts(driver: StackDriver, client: str) -> int:
    return sum(
        event["subject"] == client and event["event"] == "pending"
        for event in driver.admin.event_log()
    )


def _terminate_client(driver: StackDriver) -> None:
    client = _client(driver)["InstanceId"]
    driver.aws.client("ec2").terminate_instances(InstanceIds=[client])
    driver.admin.advance(A_MINUTE)
