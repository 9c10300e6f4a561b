"""An AWS account for the steps: moto, with the emulator's model of CloudHSM and KMS.

Adds what moto lacks: a stack that can be in a rollback, calls that fail before or after their
effect in any service, and lists that are eventually consistent.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import boto3
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ConnectionClosedError
from moto.ec2.models import ec2_backends

from hsm_lifecycle import ownership
from hsm_lifecycle.dispatch import name_of, worker
from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2.provider import CLOUDHSM_ACTIONS, KEY_STORE_ACTIONS
from localaws.services.cloudhsmv2.settings import Timings
from rehearsal import test_ca
from tests.support.moto_extension import MockedHsms
from tests.support.resource_properties import CLUSTER, resource_properties

Json = dict[str, Any]

ACCOUNT = "123456789012"
STACK_ID = (
    f"arn:aws:cloudformation:us-east-1:{ACCOUNT}:stack/hsm/5f8c1f60-0000-11f0-8000-000000000001"
)
OTHER_STACK_ID = STACK_ID[:-1] + "2"
LOGICAL_ID = "rCloudHsmCluster"
SYSTEM = "cloudhsm"
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
PASSWORD = "Initial123"
KMSUSER_PASSWORD = "Kmsuser123"
TIMINGS = Timings()
# The seconds until a deleted HSM is no longer listed and its cluster can be deleted.
GONE = TIMINGS.delete_hsm + TIMINGS.deleted_hsm_visible + TIMINGS.deleted_hsm_lingers

# The model applies faults itself to these.
_MODELLED = {"cloudhsmv2": CLOUDHSM_ACTIONS, "kms": KEY_STORE_ACTIONS}
_READING = ("Describe", "Get", "List")


class Clock:
    """A clock that only `advance` moves. It starts now, because certificates have dates."""

    def __init__(self) -> None:
        self._now = time.time()

    def now(self) -> float:
        """The virtual time."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


class Account:
    """The account, the network, and this stack."""

    def __init__(self, clock: Clock, hsms: MockedHsms) -> None:
        self.clock, self.hsms, self.faults = clock, hsms, hsms.faults
        self.stack_status = "CREATE_IN_PROGRESS"
        self.stack_tags: dict[str, str] = {}
        # The calls of the last step that change something.
        self.changes: list[str] = []
        self._depth = 0
        self._stale: Json | None = None
        self.ec2 = boto3.client("ec2")
        self.hsm = boto3.client("cloudhsmv2")
        self.kms = boto3.client("kms")
        self.secrets = boto3.client("secretsmanager")
        self.vpc: str = _network().create_vpc("10.0.0.0/16").id
        self.subnets = [self.subnet(zone, place) for place, zone in enumerate(ZONES)]
        # The CA of an external PKI, and the trust anchor of each cluster.
        self.ca = test_ca.make_ca(clock.now())
        self.anchors: dict[str, str] = {}

    # --- The steps

    def run(self, step: Callable[[Mapping[str, Any]], Json], **event: Any) -> Json:
        """Run a step in a worker with this event."""
        self.changes.clear()
        # When a state machine entered the state, unless the test says otherwise.
        now = {"EnteredTime": "2026-01-31T12:00:00.000Z"}
        answer: Json = worker(step)({"Step": name_of(step), **now, **event}, None)
        return answer

    def handle(
        self, service: str, operation: str, parameters: Json, call: Callable[[Json], Any]
    ) -> Any:
        """Handle a call of boto3; `call` passes it on to moto and the model."""
        if self._depth:
            return call(parameters)  # by the model itself, which creates log groups in moto
        if not operation.startswith(_READING):
            self.changes.append(operation)
        if operation == "DescribeStacks":
            return self._described_stack(parameters["StackName"])
        if operation == "DescribeClusters" and self._stale is not None:
            return copy.deepcopy(self._stale)
        self._depth += 1
        try:
            if operation in _MODELLED.get(service, ()):
                return call(parameters)
            with self.faults.during(operation):
                if operation.startswith("RevokeSecurityGroup"):
                    parameters = self._with_descriptions(operation, parameters)
                return call(parameters)
        except ApiError as refusal:
            raise_as_boto3(refusal, operation)
        finally:
            self._depth -= 1

    @contextlib.contextmanager
    def lagging(self) -> Iterator[None]:
        """Let DescribeClusters return the current state, whatever happens in the block."""
        self._stale = self.hsm.describe_clusters()
        yield
        self._stale = None

    def _described_stack(self, name: str) -> Json:
        if name != STACK_ID:
            refusal = ApiError("ValidationError", f"Stack with id {name} does not exist")
            raise_as_boto3(refusal, "DescribeStacks")
        tags = [{"Key": key, "Value": value} for key, value in self.stack_tags.items()]
        return {"Stacks": [{"StackId": name, "StackStatus": self.stack_status, "Tags": tags}]}

    def _with_descriptions(self, operation: str, parameters: Json) -> Json:
        """Add the rules' descriptions, without which moto does not revoke; AWS does not need them.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html
        """
        direction = "IpPermissions" + ("Egress" if operation.endswith("Egress") else "")
        try:
            groups = self.ec2.describe_security_groups(GroupIds=[parameters["GroupId"]])
        except ClientError:
            return parameters
        described = {
            pair["GroupId"]: pair["Description"]
            for rule in groups["SecurityGroups"][0][direction]
            for pair in rule["UserIdGroupPairs"]
            if "Description" in pair
        }
        given = copy.deepcopy(parameters)
        for pair in (pair for rule in given["IpPermissions"] for pair in rule["UserIdGroupPairs"]):
            if pair["GroupId"] in described:
                pair["Description"] = described[pair["GroupId"]]
        return given

    # --- Read

    def cluster(self, cluster_id: str) -> Json:
        """The cluster as DescribeClusters returns it."""
        (cluster,) = self.hsm.describe_clusters(Filters={"clusterIds": [cluster_id]})["Clusters"]
        assert isinstance(cluster, dict)
        return cluster

    def cluster_ids(self) -> list[str]:
        """The IDs of all clusters that are not DELETED."""
        found = self.hsm.describe_clusters()["Clusters"]
        return [one["ClusterId"] for one in found if one["State"] != "DELETED"]

    def listed(self, cluster_id: str) -> list[Json]:
        """The HSMs of a cluster, oldest first."""
        return list(self.cluster(cluster_id)["Hsms"])

    def states(self, cluster_id: str) -> list[str]:
        """The states of the HSMs of a cluster."""
        return [hsm["State"] for hsm in self.listed(cluster_id)]

    def tags(self, cluster_id: str) -> dict[str, str]:
        """The tags of a cluster."""
        return ownership.tags_of(self.cluster(cluster_id))

    def secret_names(self) -> list[str]:
        """The names of all secrets."""
        return sorted(one["Name"] for one in self.secrets.list_secrets()["SecretList"])

    def text(self, name: str) -> str | None:
        """The text of a secret; None if there is none."""
        try:
            return str(self.secrets.get_secret_value(SecretId=name)["SecretString"])
        except self.secrets.exceptions.ResourceNotFoundException:
            return None

    def put(self, name: str, text: str | None) -> str:
        """Create or overwrite a secret."""
        try:
            self.secrets.create_secret(Name=name, **({"SecretString": text} if text else {}))
        except self.secrets.exceptions.ResourceExistsException:
            self.secrets.put_secret_value(SecretId=name, SecretString=text)
        return name

    def store(self, store_id: str) -> Json:
        """The key store as DescribeCustomKeyStores returns it."""
        answer = self.kms.describe_custom_key_stores(CustomKeyStoreId=store_id)
        (store,) = answer["CustomKeyStores"]
        assert isinstance(store, dict)
        return store

    # --- Create

    def subnet(self, zone: str, place: int, vpc: str | None = None) -> str:
        """Create a subnet."""
        made = _network().create_subnet(
            vpc or self.vpc, f"10.0.{place}.0/24", availability_zone=zone
        )
        return str(made.id)

    def wait(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.clock.advance(seconds)
        self.hsms.provider().run_due()

    def properties(self, **overrides: Any) -> Json:
        """ResourceProperties of the cluster's template, in this account's subnets."""
        return resource_properties(CLUSTER, **{"Subnets": list(self.subnets), **overrides})

    def uninitialized(self, stack_id: str = STACK_ID, **overrides: Any) -> str:
        """The ID of a cluster with this stack's tags and without HSMs."""
        tags = {ownership.STACK_TAG: stack_id, ownership.LOGICAL_ID_TAG: LOGICAL_ID}
        request = {
            "HsmType": "hsm2m.medium",
            "Mode": "FIPS",
            "NetworkType": "IPV4",
            "SubnetIds": self.subnets,
            "TagList": [{"Key": key, "Value": value} for key, value in tags.items()],
            **overrides,
        }
        cluster_id = str(self.hsm.create_cluster(**request)["Cluster"]["ClusterId"])
        self.wait(TIMINGS.create_cluster)
        return cluster_id

    def add_hsm(self, cluster_id: str, zone: str = ZONES[0]) -> Json:
        """Create an HSM and wait until it is ACTIVE."""
        made = self.hsm.create_hsm(ClusterId=cluster_id, AvailabilityZone=zone)["Hsm"]
        self.wait(TIMINGS.create_hsm)
        (hsm,) = [one for one in self.listed(cluster_id) if one["HsmId"] == made["HsmId"]]
        return hsm

    def with_csr(self, **overrides: Any) -> str:
        """A cluster whose first HSM is ACTIVE."""
        cluster_id = self.uninitialized(**overrides)
        self.add_hsm(cluster_id)
        return cluster_id

    def csr(self, cluster_id: str) -> str:
        """The cluster's certificate signing request."""
        return str(self.cluster(cluster_id)["Certificates"]["ClusterCsr"])

    def initialized(self, **overrides: Any) -> str:
        """A cluster that is INITIALIZED by `self.ca`."""
        cluster_id = self.with_csr(**overrides)
        self.hsm.initialize_cluster(
            ClusterId=cluster_id,
            SignedCert=test_ca.sign(self.ca, self.csr(cluster_id), self.clock.now()),
            TrustAnchor=self.ca.pem,
        )
        self.anchors[cluster_id] = self.ca.pem
        self.wait(TIMINGS.initialize)
        return cluster_id

    def active(self, *zones: str, **overrides: Any) -> str:
        """An ACTIVE cluster, activated by a client, with another HSM in each of these zones."""
        cluster_id = self.initialized(**overrides)
        self.as_client(cluster_id, "activate", password=PASSWORD)
        self.wait(TIMINGS.activate)
        for zone in zones:
            self.add_hsm(cluster_id, zone)
        return cluster_id

    def restored(self, *zones: str, stack_id: str = STACK_ID) -> str:
        """An ACTIVE cluster restored from a backup, with an HSM in each of these zones."""
        backup = self.hsms.provider().share_backup(PASSWORD)
        cluster_id = self.uninitialized(stack_id, SourceBackupId=backup["BackupArn"])
        self.anchors[cluster_id] = backup["TrustAnchor"]
        for zone in zones:
            self.hsm.create_hsm(ClusterId=cluster_id, AvailabilityZone=zone)
        self.wait(TIMINGS.create_hsm)
        return cluster_id

    def client(self, cluster_id: str) -> tuple[str, str]:
        """An instance with access to the cluster, and its security group."""
        group = self.group("client-of-" + cluster_id)
        instance = self.ec2.run_instances(
            ImageId="ami-00000001",
            MinCount=1,
            MaxCount=1,
            SubnetId=self.subnets[0],
            SecurityGroupIds=[group],
        )["Instances"][0]["InstanceId"]
        ports = {"IpProtocol": "tcp", "FromPort": 2223, "ToPort": 2225}
        self.ec2.authorize_security_group_ingress(
            GroupId=self.cluster(cluster_id)["SecurityGroup"],
            IpPermissions=[{**ports, "UserIdGroupPairs": [{"GroupId": group}]}],
        )
        return str(instance), group

    def group(self, name: str) -> str:
        """Create a security group for a client."""
        made = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)
        return str(made["GroupId"])

    def as_client(self, cluster_id: str, operation: str, **params: Any) -> Json:
        """Run an operation of cloudhsm-cli on a client."""
        instance, _ = self.client(cluster_id)
        active = [hsm["EniIp"] for hsm in self.listed(cluster_id) if hsm["State"] == "ACTIVE"]
        return self.hsms.provider().data_plane(
            operation,
            {"ip": active[0], "ca": self.anchors[cluster_id], "instance_id": instance, **params},
        )

    def add_kmsuser(self, cluster_id: str) -> None:
        """Create kmsuser on every HSM of an ACTIVE cluster."""
        self.as_client(
            cluster_id,
            "user-create",
            login_role="admin",
            username="admin",
            password=PASSWORD,
            new_username="kmsuser",
            new_password=KMSUSER_PASSWORD,
            role="crypto-user",
        )

    def add_store(self, cluster_id: str, name: str = "store") -> str:
        """Create a key store, which is DISCONNECTED."""
        answer = self.kms.create_custom_key_store(
            CustomKeyStoreName=name,
            CloudHsmClusterId=cluster_id,
            TrustAnchorCertificate=self.anchors[cluster_id],
            KeyStorePassword=KMSUSER_PASSWORD,
        )
        return str(answer["CustomKeyStoreId"])

    def add_connected_store(self, cluster_id: str, name: str = "store") -> str:
        """Create a key store and connect it."""
        self.add_kmsuser(cluster_id)
        store_id = self.add_store(cluster_id, name)
        self.kms.connect_custom_key_store(CustomKeyStoreId=store_id)
        self.wait(TIMINGS.connect)
        assert self.store(store_id)["ConnectionState"] == "CONNECTED"
        return store_id


def _network() -> Any:
    """EC2 in moto without HTTP, which is faster."""
    return ec2_backends[ACCOUNT]["us-east-1"]


@contextlib.contextmanager
def intercepted(account: Account) -> Iterator[None]:
    """Pass every call of boto3 to `Account.handle`."""
    # Every boto3 client makes its calls through this method.
    original = BaseClient._make_api_call

    def make_api_call(client: Any, operation: str, parameters: Json) -> Any:
        service = client.meta.service_model.service_name
        return account.handle(
            service, operation, parameters, lambda given: original(client, operation, given)
        )

    BaseClient._make_api_call = make_api_call
    try:
        yield
    finally:
        BaseClient._make_api_call = original


def raise_as_boto3(refusal: ApiError, operation: str) -> NoReturn:
    """Raise the error of boto3 for an error of the model."""
    if refusal.code == "ConnectionLost":
        raise ConnectionClosedError(endpoint_url="https://us-east-1.amazonaws.com/") from refusal
    raise ClientError(
        {
            "Error": {"Code": refusal.code, "Message": refusal.message},
            "ResponseMetadata": {"HTTPStatusCode": refusal.status},
        },
        operation,
    ) from refusal
