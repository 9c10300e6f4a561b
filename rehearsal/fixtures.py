"""An existing cluster with a client, for scenarios and tests that do not deploy the cluster stack.

Created through the API within a second of real time; the templates know nothing of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from localaws.client import LocalAws
from rehearsal import test_ca

Json = dict[str, Any]

ADMIN_PASSWORD = "Existing0Cluster0Admin0Password"  # nosec B105 # of the local AWS
# Virtual seconds; every AWS operation here takes less with the default timings.
OPERATION_SECONDS = 500
IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
CLI_PACKAGE = (
    "https://s3.amazonaws.com/cloudhsmv2-software/CloudHsmClient/Amzn2023/"
    "cloudhsm-cli-5.18.0-1.amzn2023.x86_64.rpm"
)
SDK3_PACKAGE = (
    "https://s3.amazonaws.com/cloudhsmv2-software/CloudHsmClient/EL7/"
    "cloudhsm-client-latest.el7.x86_64.rpm"
)


@dataclass(frozen=True)
class ExistingCluster:
    """A cluster, its two secrets, and a client that may read them."""

    aws: LocalAws
    cluster_id: str
    ca_certificate: str
    admin_secret: str
    ca_secret: str
    client: str

    @property
    def parameters(self) -> dict[str, str]:
        """The key store template's parameters for this cluster."""
        return {
            "pCloudHsmClusterId": self.cluster_id,
            "pCloudHsmAdminPasswordSecretName": self.admin_secret,
            "pCloudHsmCustCaCertSecretName": self.ca_secret,
            "pClientInstanceId": self.client,
        }

    def describe(self) -> Json:
        """The cluster as DescribeClusters returns it."""
        return _describe(self.aws, self.cluster_id)

    def hsm_ip(self) -> str:
        """The IP address of an ACTIVE HSM."""
        hsms = self.describe()["Hsms"]
        return str(next(hsm["EniIp"] for hsm in hsms if hsm["State"] == "ACTIVE"))

    def user(self, name: str) -> Json:
        """A user as `cloudhsm-cli user list` shows it, without a login."""
        listed = self.aws.admin.data_plane(
            "user-list", ip=self.hsm_ip(), ca=self.ca_certificate, instance_id=self.client
        )
        users = listed["data"]["users"]
        return dict(next(user for user in users if user["username"] == name))

    def add_hsm(self) -> None:
        """Start to create a third HSM, in the zone of the first."""
        zone = self.describe()["Hsms"][0]["AvailabilityZone"]
        self.aws.client("cloudhsmv2").create_hsm(ClusterId=self.cluster_id, AvailabilityZone=zone)

    def cloudhsm_cli(self, operation: str, **given: str) -> Json:
        """Run an operation as cloudhsm-cli would, by default logged in as the admin."""
        return self.aws.admin.data_plane(
            operation,
            **{
                "ip": self.hsm_ip(),
                "ca": self.ca_certificate,
                "instance_id": self.client,
                "login_role": "admin",
                "username": "admin",
                "password": ADMIN_PASSWORD,
                **given,
            },
        )

    def store_admin_password(self, password: str) -> None:
        """Put a password, correct or not, into the admin's secret."""
        self.aws.client("secretsmanager").put_secret_value(
            SecretId=self.admin_secret, SecretString=_credentials(password)
        )

    def with_new_client(self, name: str) -> ExistingCluster:
        """The same cluster with another client, on which the CLI is installed."""
        self.aws.admin.pause()
        client = _launch_client(self.aws, name, self.describe()["SecurityGroup"])
        self.aws.admin.advance(OPERATION_SECONDS)
        _install(self.aws, client, f"{name}-install", CLI_PACKAGE)
        self.aws.admin.resume()
        return replace(self, client=client)

    def restore(self) -> ExistingCluster:
        """Restore the newest backup to another cluster, with the same certificate and users."""
        aws = self.aws
        backups = aws.client("cloudhsmv2").describe_backups(
            Filters={"clusterIds": [self.cluster_id], "states": ["READY"]}, SortAscending=False
        )["Backups"]
        cluster_id = _create_cluster(aws, SourceBackupId=backups[0]["BackupId"])
        _create_hsm(aws, cluster_id, 0)
        _create_hsm(aws, cluster_id, 1)
        hsms, client = (
            _describe(aws, each)["SecurityGroup"] for each in (cluster_id, self.cluster_id)
        )
        ec2 = aws.client("ec2")
        ec2.authorize_security_group_ingress(GroupId=hsms, IpPermissions=[_hsm_ports(client)])
        ec2.authorize_security_group_egress(GroupId=client, IpPermissions=[_hsm_ports(hsms)])
        return replace(self, cluster_id=cluster_id)


def existing_cluster(
    aws: LocalAws, *, name: str = "existing", package: str = CLI_PACKAGE
) -> ExistingCluster:
    """Create and activate a cluster with two HSMs, and a client with this package."""
    # While time runs, the distance it jumps would depend on real time.
    aws.admin.pause()
    cluster_id = _create_cluster(aws)
    client = _launch_client(aws, name, _describe(aws, cluster_id)["SecurityGroup"])
    _create_hsm(aws, cluster_id, 0)
    created = _describe(aws, cluster_id)
    now = aws.admin.clock()["now"]
    ca = test_ca.make_ca(now)
    aws.client("cloudhsmv2").initialize_cluster(
        ClusterId=cluster_id,
        SignedCert=test_ca.sign(ca, created["Certificates"]["ClusterCsr"], now),
        TrustAnchor=ca.pem,
    )
    aws.admin.advance(OPERATION_SECONDS)
    aws.admin.data_plane(
        "activate",
        ip=created["Hsms"][0]["EniIp"],
        ca=ca.pem,
        instance_id=client,
        password=ADMIN_PASSWORD,
    )
    aws.admin.advance(OPERATION_SECONDS)
    _create_hsm(aws, cluster_id, 1)
    secrets = aws.client("secretsmanager")
    admin_secret, ca_secret = (f"/existing/{cluster_id}/{kind}" for kind in ("admin", "ca"))
    secrets.create_secret(Name=admin_secret, SecretString=_credentials(ADMIN_PASSWORD))
    secrets.create_secret(Name=ca_secret, SecretString=ca.pem)
    _install(aws, client, f"{name}-install", package)
    aws.admin.resume()
    return ExistingCluster(aws, cluster_id, ca.pem, admin_secret, ca_secret, client)


def _credentials(password: str) -> str:
    return json.dumps({"username": "admin", "password": password})


def _describe(aws: LocalAws, cluster_id: str) -> Json:
    found = aws.client("cloudhsmv2").describe_clusters(Filters={"clusterIds": [cluster_id]})
    return dict(found["Clusters"][0])


def _create_cluster(aws: LocalAws, **given: str) -> str:
    created = aws.client("cloudhsmv2").create_cluster(
        HsmType="hsm2m.medium", Mode="FIPS", SubnetIds=aws.subnets[:2], **given
    )
    aws.admin.advance(OPERATION_SECONDS)
    return str(created["Cluster"]["ClusterId"])


def _create_hsm(aws: LocalAws, cluster_id: str, zone: int) -> None:
    zones = sorted(_describe(aws, cluster_id)["SubnetMapping"])
    aws.client("cloudhsmv2").create_hsm(ClusterId=cluster_id, AvailabilityZone=zones[zone])
    aws.admin.advance(OPERATION_SECONDS)


def _launch_client(aws: LocalAws, name: str, cluster_group: str) -> str:
    """Launch an instance in the cluster's security group, as AWS's documentation has it."""
    iam = aws.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(_trust("ec2")))
    iam.put_role_policy(
        RoleName=name,
        PolicyName=name,
        PolicyDocument=_policy(
            _allow(["ssm:UpdateInstanceInformation", "ssmmessages:*"], "*"),
            _allow(
                ["secretsmanager:GetSecretValue"],
                f"arn:{iam.meta.partition}:secretsmanager:*:*:secret:/existing/*",
            ),
        ),
    )
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    launched = aws.client("ec2").run_instances(
        ImageId=aws.client("ssm").get_parameter(Name=IMAGE)["Parameter"]["Value"],
        MinCount=1,
        MaxCount=1,
        InstanceType="t3a.small",
        SubnetId=aws.subnets[0],
        SecurityGroupIds=[cluster_group],
        IamInstanceProfile={"Name": name},
    )
    return str(launched["Instances"][0]["InstanceId"])


def _hsm_ports(group: str) -> Json:
    pairs = [{"GroupId": group}]
    return {"IpProtocol": "tcp", "FromPort": 2223, "ToPort": 2225, "UserIdGroupPairs": pairs}


def _trust(service: str) -> Json:
    principal = {"Service": f"{service}.amazonaws.com"}
    return {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}


def _allow(actions: list[str], resource: str) -> Json:
    return {"Effect": "Allow", "Action": actions, "Resource": resource}


def _policy(*statements: Json) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _install(aws: LocalAws, client: str, document: str, package: str) -> None:
    """Install a client package with Run Command, as an operator would."""
    ssm = aws.client("ssm")
    script = [
        "set -eu",
        f"curl -fsS -o /root/client.rpm {package}",
        "dnf install -y /root/client.rpm",
    ]
    step = {"action": "aws:runShellScript", "name": "Install", "inputs": {"runCommand": script}}
    ssm.create_document(
        Name=document,
        DocumentType="Command",
        Content=json.dumps({"schemaVersion": "2.2", "mainSteps": [step]}),
    )
    ssm.send_command(DocumentName=document, InstanceIds=[client])
    # Time does not jump while the script runs, so afterwards it has ended.
    aws.admin.advance(OPERATION_SECONDS)
