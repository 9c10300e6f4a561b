"""The client instance: replaced, stopped, terminated, or never online."""

from __future__ import annotations

from typing import Any

from rehearsal.drivers.operator import expect_cli_works
from rehearsal.drivers.stack import RETAINED_BY_CLOUDHSM, RETAINED_WITH_BACKUPS, StackDriver

Json = dict[str, Any]

IMAGE, OTHER_IMAGE = "ami-0c12c3d4e5f6a7b82", "ami-0d12c3d4e5f6a7b83"
NEWER_IMAGE = "ami-0e12c3d4e5f6a7b84"
# The operator's own parameter; Amazon's public parameters are read-only.
LATEST_IMAGE = "/images/latest"
# Virtual seconds; an instance stops or terminates faster.
INSTANCE_SECONDS = 60


def client_replaced(driver: StackDriver) -> None:
    """A newer or another image, subnet or VPC replaces the client; only the new one has access."""
    images = driver.aws.client("ssm")
    with driver.step("Create: 1 HSM per subnet"):
        images.put_parameter(Name=LATEST_IMAGE, Value=IMAGE, Type="String")
        driver.request(pClientAmiSsmParameter=LATEST_IMAGE)
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        _expect_client(driver)

    with driver.step("The SSM parameter names a newer image"), driver.expect_no_cluster_changes():
        images.put_parameter(Name=LATEST_IMAGE, Value=NEWER_IMAGE, Overwrite=True)
        driver.request(pReconcile="again")
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect("image", _client(driver)["ImageId"], NEWER_IMAGE)
        _expect_client(driver)

    with driver.step("Another image"), driver.expect_no_cluster_changes():
        driver.request(pClientAmiId=OTHER_IMAGE)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect("image", _client(driver)["ImageId"], OTHER_IMAGE)
        _expect_client(driver)

    with driver.step("Another subnet"), driver.expect_no_cluster_changes():
        driver.request(pClientSubnet=driver.aws.subnets[1])
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_client(driver)

    with driver.step("Another VPC and security group"), driver.expect_no_cluster_changes():
        vpc, subnet = _peered_vpc(driver)
        driver.request(pClientVpcId=vpc, pClientSubnet=subnet)
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_client(driver)

    with driver.step("Delete"):
        driver.delete()
        images.delete_parameter(Name=LATEST_IMAGE)
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_retained(*RETAINED_WITH_BACKUPS)


def client_stopped(driver: StackDriver) -> None:
    """A client stopped by its owner is started, used and stopped again, even on failure."""
    with driver.step("Create: 1 HSM per subnet, and stop the client"):
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        client = _client(driver)["InstanceId"]
        driver.aws.client("ec2").stop_instances(InstanceIds=[client])
        driver.admin.advance(INSTANCE_SECONDS)
        driver.expect("client", _client(driver)["State"]["Name"], "stopped")

    with driver.step("Scale up to 2 HSMs per subnet"):
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        _expect_stopped_again(driver, client)

    with driver.step("Scale up to 3 HSMs per subnet: SendCommand fails"):
        driver.fault(
            operation="SendCommand", code="InvalidDocument", message="The document is gone."
        )
        driver.request(pHsmsPerSubnet=3)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("SendCommand: InvalidDocument: The document is gone.")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        _expect_stopped_again(driver, client)

    with driver.step("Scale up to 3 HSMs per subnet: cancelled at SendCommand"):
        driver.fault(operation="SendCommand", pause=True)
        driver.start(pHsmsPerSubnet=3)
        with driver.while_paused():
            driver.cancel()
        driver.wait()
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        _expect_stopped_again(driver, client)

    with driver.step("Scale up to 3 HSMs per subnet: the SSM agent is offline"):
        driver.fault(agent="offline")
        driver.request(pHsmsPerSubnet=3)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("SSM agent", "ConnectionLost after 10 minutes", "pClientSubnet")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        _expect_stopped_again(driver, client)

    starts = _starts(driver, client)
    driver.delete_step(*RETAINED_WITH_BACKUPS, title="Delete: the client is not started")
    driver.expect("starts of the client", _starts(driver, client), starts)


def client_stops_again(driver: StackDriver) -> None:
    """A started client falls back to stopped: the update fails at once, with EC2's reason."""
    with driver.step("Create: 1 HSM per subnet, and stop the client"):
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        client = _client(driver)["InstanceId"]
        driver.aws.client("ec2").stop_instances(InstanceIds=[client])
        driver.admin.advance(INSTANCE_SECONDS)

    with driver.step("Scale up to 2 HSMs per subnet: EC2 cannot use the volume's key"):
        driver.fault(start="stopped", reason="Client.InternalError")
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason(client, "Client.InternalError: Client error on launch", "KMS key")
        # One at its launch, one by the update, two by the rollback.
        driver.expect("starts of the client", _starts(driver, client), 4)
        _expect_stopped_again(driver, client)

    with driver.step("Scale up to 2 HSMs per subnet"):
        driver.request(pReconcile="again")
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        _expect_stopped_again(driver, client)

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def cloud_init_failed(driver: StackDriver) -> None:
    """cloud-init of a hardened image reports errors: the scripts say so and go on."""
    with driver.step("Create: a module of cloud-init failed"):
        driver.fault(cloud_init=1, times=3)
        driver.fault(cloud_init=2, times=3)
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        _expect_client(driver)

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def client_terminated(driver: StackDriver) -> None:
    """The client was terminated: updates fail early until a new image replaces it."""
    with driver.step("Create: 1 HSM per subnet, and terminate the client"):
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        _terminate_client(driver)

    with driver.step("Scale up to 2 HSMs per subnet: rejected"), driver.expect_no_changes():
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("is terminated", "pClientAmiId")

    with driver.step("Scale up to 2 HSMs per subnet with another image"):
        driver.request(pClientAmiId=OTHER_IMAGE)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=4, zones=2)
        _expect_client(driver)
        _terminate_client(driver)

    with driver.step("Scale down to 0: needs no client"):
        driver.request(pHsmsPerSubnet=0)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=0)

    driver.delete_step(*RETAINED_WITH_BACKUPS, title="Delete: needs no client")


def client_never_online(driver: StackDriver) -> None:
    """The client's SSM agent never registers: stack creation fails after ten minutes."""
    with driver.step("Create: the SSM agent never registers"):
        driver.fault(agent="never")
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("SSM agent", "Absent after 10 minutes", "pClientSubnet")
        driver.expect_retained(*RETAINED_BY_CLOUDHSM, "stack hsm")

    driver.delete_step(*RETAINED_BY_CLOUDHSM)


def _client(driver: StackDriver) -> Json:
    """The client as DescribeInstances returns it."""
    client = driver.stack.outputs()["oClientInstanceId"]
    found = driver.aws.client("ec2").describe_instances(InstanceIds=[client])
    return dict(found["Reservations"][0]["Instances"][0])


def _expect_client(driver: StackDriver) -> None:
    """There is one client, its CLI works, and only its security group has access to the HSMs."""
    expect_cli_works(driver)
    inventory, client = driver.admin.inventory(), _client(driver)
    instances = [instance["InstanceId"] for instance in inventory["ec2"]["instances"]]
    driver.expect("instances", instances, [client["InstanceId"]])
    hsms, group = driver.cluster()["SecurityGroup"], client["SecurityGroups"][0]["GroupId"]
    described = driver.aws.client("ec2").describe_security_groups(GroupIds=[hsms])
    admitted = {
        pair["GroupId"]
        for rule in described["SecurityGroups"][0]["IpPermissions"]
        for pair in rule["UserIdGroupPairs"]
    }
    driver.expect("security groups with access", admitted, {hsms, group})


def _peered_vpc(driver: StackDriver) -> tuple[str, str]:
    """A VPC and a subnet in it; the emulator routes between all VPCs."""
    ec2 = driver.aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.99.0.0/24")["Subnet"]["SubnetId"]
    return vpc, subnet


def _expect_stopped_again(driver: StackDriver, client: str) -> None:
    driver.admin.advance(INSTANCE_SECONDS)
    driver.expect("client", _client(driver)["InstanceId"], client)
    driver.expect("client", _client(driver)["State"]["Name"], "stopped")


def _starts(driver: StackDriver, client: str) -> int:
    return sum(event["subject"] == client for event in driver.events("pending"))


def _terminate_client(driver: StackDriver) -> None:
    client = _client(driver)["InstanceId"]
    driver.aws.client("ec2").terminate_instances(InstanceIds=[client])
    driver.admin.advance(INSTANCE_SECONDS)
