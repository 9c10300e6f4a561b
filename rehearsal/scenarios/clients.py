"""The client instance: replaced, stopped, terminated, or never online."""

from __future__ import annotations

from typing import Any

from localaws.client import LocalAwsError
from rehearsal.drivers.operator import expect_cli_works
from rehearsal.drivers.stack import RETAINED_BY_CLOUDHSM, RETAINED_WITH_BACKUPS, StackDriver

Json = dict[str, Any]

IMAGE, OTHER_IMAGE = "ami-0c12c3d4e5f6a7b82", "ami-0d12c3d4e5f6a7b83"
NEWER_IMAGE = "ami-0e12c3d4e5f6a7b84"
# The operator's own parameter; Amazon's public parameters are read-only.
LATEST_IMAGE = "/images/latest"
# Virtual seconds; an instance stops or terminates faster.
INSTANCE_SECONDS = 60
OTHER_CIDR = "10.99.0.0/24"


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
        vpc, subnet = _other_vpc(driver)
        peering = _peer(driver, vpc)
        driver.request(pClientVpcId=vpc, pClientSubnet=subnet)
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_in("without routes", _connection(driver), "Unreachable")
        _add_routes(driver, vpc, peering)
        _expect_client(driver)

    with driver.step("Delete"):
        driver.delete()
        images.delete_parameter(Name=LATEST_IMAGE)
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_retained(*RETAINED_WITH_BACKUPS)


def client_rejected(driver: StackDriver) -> None:
    """A client that EC2 does not launch, or that cannot reach the HSMs, is rejected by name."""
    vpc, subnet = _other_vpc(driver)
    for changes, logical_id, reason in (
        ({"pClientAmiId": "ami-00000000"}, "rClient", "'[ami-00000000]' does not exist"),
        ({"pClientType": "t9.mega"}, "rClient", "'t9.mega' for InstanceType"),
        ({"pClientType": "t4g.small"}, "rClient", "matching architectures"),
        ({"pClientSubnet": subnet}, "rClient", "belong to different networks"),
        (
            {"pClientVpcId": vpc, "pClientSubnet": subnet},
            "rCloudHsmCluster",
            "pClientVpcId: the VPCs of client and cluster are not peered",
        ),
    ):
        with driver.step(f"Create with {', '.join(changes)}: rejected"):
            valid = dict(driver.stack.parameters)
            driver.request(**changes)
            driver.stack.parameters = valid
            driver.expect_stack("ROLLBACK_COMPLETE")
            driver.expect_reason(logical_id, reason)
            driver.delete()
            driver.expect_stack("DELETE_COMPLETE")

    driver.create_step("Create: 1 HSM per subnet", hsms=2, zones=2)

    with driver.step("Update to a VPC that is not peered: rejected"):
        valid = dict(driver.stack.parameters)
        with driver.expect_no_cluster_changes():
            driver.request(pClientVpcId=vpc, pClientSubnet=subnet)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("rCloudHsmCluster", "pClientVpcId: the VPCs of client and cluster")
        driver.stack.parameters = valid
        _expect_client(driver)

    driver.delete_step(*RETAINED_WITH_BACKUPS)


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


def client_not_needed(driver: StackDriver) -> None:
    """The client was terminated: updates that concern neither it nor the HSMs succeed."""
    with driver.step("Create: 1 HSM per subnet, and terminate the client"):
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        _terminate_client(driver)

    with driver.step("Backup retention and tags"):
        driver.stack.tags = {"team": "payments"}
        driver.request(pBackupRetentionDays=30)
        driver.expect_stack("UPDATE_COMPLETE")
        cluster = driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        driver.expect("retention", cluster["BackupRetentionPolicy"]["Value"], "30")
        driver.expect("tags", {"Key": "team", "Value": "payments"} in cluster["TagList"], True)

    with driver.step("A new version of the template"):
        version = driver.stack.outputs()["oTemplateVersion"]
        next_version = {f"TemplateVersion: {version}\n": "TemplateVersion: 9.9.9\n"}
        driver.stack.edits = next_version
        driver.request()
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect("version", driver.stack.outputs()["oTemplateVersion"], "9.9.9")

    with driver.step("The previous version with a wrong output: rolls back"):
        driver.stack.edits = {"- TemplateVersion\n": "- NoSuchAttribute\n"}
        driver.request()
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect("version", driver.stack.outputs()["oTemplateVersion"], "9.9.9")
        driver.expect("warnings", driver.stack.outputs()["oWarnings"], "none")

    with driver.step("pReconcile: needs the client"), driver.expect_no_changes():
        driver.stack.edits = next_version
        driver.request(pReconcile="1")
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("ClientTerminated", "pClientAmiId", "[cluster-")

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


def _other_vpc(driver: StackDriver) -> tuple[str, str]:
    """A VPC that is peered with none, and a subnet with endpoints for what a client needs."""
    ec2 = driver.aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock=OTHER_CIDR)["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=OTHER_CIDR)["Subnet"]["SubnetId"]
    for service in ("ssm", "ssmmessages", "secretsmanager"):
        ec2.create_vpc_endpoint(
            VpcId=vpc,
            ServiceName=f"com.amazonaws.{driver.aws.region}.{service}",
            VpcEndpointType="Interface",
            SubnetIds=[subnet],
        )
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    ec2.create_vpc_endpoint(
        VpcId=vpc,
        ServiceName=f"com.amazonaws.{driver.aws.region}.s3",
        RouteTableIds=[tables[0]["RouteTableId"]],
    )
    return vpc, subnet


def _peer(driver: StackDriver, vpc: str) -> str:
    """Peer a VPC with the cluster's, without routes; returns the peering connection."""
    ec2 = driver.aws.client("ec2")
    requested = ec2.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=driver.aws.vpc)
    peering = str(requested["VpcPeeringConnection"]["VpcPeeringConnectionId"])
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    return peering


def _add_routes(driver: StackDriver, vpc: str, peering: str) -> None:
    """Route between a peered VPC and the cluster's, in both directions."""
    ec2 = driver.aws.client("ec2")
    found = ec2.describe_vpcs(VpcIds=[driver.aws.vpc])["Vpcs"][0]["CidrBlock"]
    for here, there in ((vpc, found), (driver.aws.vpc, OTHER_CIDR)):
        tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [here]}])
        ec2.create_route(
            RouteTableId=tables["RouteTables"][0]["RouteTableId"],
            DestinationCidrBlock=there,
            VpcPeeringConnectionId=peering,
        )


def _connection(driver: StackDriver) -> str:
    """The error when the client connects to an HSM without a CA certificate."""
    address, client = driver.cluster()["Hsms"][0]["EniIp"], _client(driver)["InstanceId"]
    try:
        driver.admin.data_plane("hsm-info", ip=address, ca="", instance_id=client)
    except LocalAwsError as error:
        return str(error)
    return "connected"


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
