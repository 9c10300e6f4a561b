"""A cluster of somebody's own making and its client, for scenarios whose subject is something else.

Made through the API in less than a second of real time, so that a key store has a cluster of which
our template knows nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from localaws.client import LocalAws
from rehearsal import test_ca

Json = dict[str, Any]

ADMIN_PASSWORD = "Planted0Admin0Password0Of0Ground"
# Virtual seconds within which each step of AWS's is over, with the default timings.
A_WHILE = 500
IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
CLI = (
    "https://s3.amazonaws.com/cloudhsmv2-software/CloudHsmClient/Amzn2023/"
    "cloudhsm-cli-5.18.0-1.amzn2023.x86_64.rpm"
)
SDK3 = (
    "https://s3.amazonaws.com/cloudhsmv2-software/CloudHsmClient/EL7/"
    "cloudhsm-client-latest.el7.x86_64.rpm"
)


@dataclass(frozen=True)
class Ground:
    """What a key store is put on: a cluster, its two secrets, and a client that may read them."""

    aws: LocalAws
    cluster_id: str
    ca_certificate: str
    admin_secret: str
    ca_secret: str
    client: str

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of the key store template that speak of it."""
        return {
            "pCloudHsmClusterId": self.cluster_id,
            "pCloudHsmAdminPasswordSecretName": self.admin_secret,
            "pCloudHsmCustCaCertSecretName": self.ca_secret,
            "pClientInstanceId": self.client,
        }

    def cluster(self) -> Json:
        """The cluster as AWS describes it."""
        return _cluster(self.aws, self.cluster_id)

    def address(self) -> str:
        """The address of an ACTIVE HSM."""
        hsms = self.cluster()["Hsms"]
        return str(next(hsm["EniIp"] for hsm in hsms if hsm["State"] == "ACTIVE"))

    def user(self, name: str) -> Json:
        """A user as `cloudhsm-cli user list` shows it."""
        users = self.command("user-list")["data"]["users"]
        return dict(next(user for user in users if user["username"] == name))

    def add_hsm(self) -> None:
        """Have a third HSM join, which takes a while."""
        zone = self.cluster()["Hsms"][0]["AvailabilityZone"]
        self.aws.client("cloudhsmv2").create_hsm(ClusterId=self.cluster_id, AvailabilityZone=zone)

    def command(self, operation: str, **given: str) -> Json:
        """What cloudhsm-cli would do, logged in as the admin unless told otherwise."""
        login = {"login_role": "admin", "username": "admin", "password": ADMIN_PASSWORD}
        return self.aws.admin.data_plane(
            operation,
            **{
                "ip": self.address(),
                "ca": self.ca_certificate,
                "instance_id": self.client,
                **login,
                **given,
            },
        )

    def say_admin_password(self, password: str) -> None:
        """Put a password into the admin's secret, the right one or not."""
        self.aws.client("secretsmanager").put_secret_value(
            SecretId=self.admin_secret, SecretString=_admin(password)
        )

    def restored(self) -> Ground:
        """Another cluster with the same certificate and users, restored from the newest backup."""
        aws = self.aws
        backups = aws.client("cloudhsmv2").describe_backups(
            Filters={"clusterIds": [self.cluster_id], "states": ["READY"]}, SortAscending=False
        )["Backups"]
        cluster_id = _create_cluster(aws, SourceBackupId=backups[0]["BackupId"])
        _create_hsms(aws, cluster_id, range(1))
        _create_hsms(aws, cluster_id, range(1, 2))
        theirs, ours = (
            _cluster(aws, each)["SecurityGroup"] for each in (cluster_id, self.cluster_id)
        )
        ec2 = aws.client("ec2")
        ec2.authorize_security_group_ingress(GroupId=theirs, IpPermissions=[_to_hsms(ours)])
        ec2.authorize_security_group_egress(GroupId=ours, IpPermissions=[_to_hsms(theirs)])
        return replace(self, cluster_id=cluster_id)


def lay(aws: LocalAws, *, name: str = "ground", package: str = CLI) -> Ground:
    """Make the cluster, activate it, and give it two HSMs and a client with this package."""
    # Time would go on by itself, how far would depend on how quick we are.
    aws.admin.pause()
    cluster_id = _create_cluster(aws)
    client = _launch_client(aws, name, _cluster(aws, cluster_id)["SecurityGroup"])
    _create_hsms(aws, cluster_id, range(1))
    first = _cluster(aws, cluster_id)
    now = aws.admin.clock()["now"]
    ca = test_ca.make_ca(now)
    aws.client("cloudhsmv2").initialize_cluster(
        ClusterId=cluster_id,
        SignedCert=test_ca.sign(ca, first["Certificates"]["ClusterCsr"], now),
        TrustAnchor=ca.pem,
    )
    aws.admin.advance(A_WHILE)
    aws.admin.data_plane(
        "activate",
        ip=first["Hsms"][0]["EniIp"],
        ca=ca.pem,
        instance_id=client,
        password=ADMIN_PASSWORD,
    )
    aws.admin.advance(A_WHILE)
    _create_hsms(aws, cluster_id, range(1, 2))
    ground = Ground(
        aws, cluster_id, ca.pem, f"/ground/{cluster_id}/admin", f"/ground/{cluster_id}/ca", client
    )
    secrets = aws.client("secretsmanager")
    secrets.create_secret(Name=ground.admin_secret, SecretString=_admin(ADMIN_PASSWORD))
    secrets.create_secret(Name=ground.ca_secret, SecretString=ca.pem)
    _install(aws, client, f"{name}-install", package)
    aws.admin.resume()
    return ground


def _admin(password: str) -> str:
    return json.dumps({"username": "admin", "password": password})


def _cluster(aws: LocalAws, cluster_id: str) -> Json:
    found = aws.client("cloudhsmv2").describe_clusters(Filters={"clusterIds": [cluster_id]})
    return dict(found["Clusters"][0])


def _create_cluster(aws: LocalAws, **given: str) -> str:
    made = aws.client("cloudhsmv2").create_cluster(
        HsmType="hsm2m.medium", Mode="FIPS", SubnetIds=aws.subnets[:2], **given
    )
    aws.admin.advance(A_WHILE)
    return str(made["Cluster"]["ClusterId"])


def _create_hsms(aws: LocalAws, cluster_id: str, places: range) -> None:
    zones = sorted(_cluster(aws, cluster_id)["SubnetMapping"])
    for place in places:
        aws.client("cloudhsmv2").create_hsm(ClusterId=cluster_id, AvailabilityZone=zones[place])
    aws.admin.advance(A_WHILE)


def _launch_client(aws: LocalAws, name: str, cluster_group: str) -> str:
    """An instance with the cluster's own group, which is how AWS's documentation lets one in."""
    iam = aws.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(_assumed_by("ec2")))
    iam.put_role_policy(
        RoleName=name,
        PolicyName=name,
        PolicyDocument=_policy(
            _allowed(["ssm:UpdateInstanceInformation", "ssmmessages:*"], "*"),
            _allowed(
                ["secretsmanager:GetSecretValue"], "arn:aws:secretsmanager:*:*:secret:/ground/*"
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


def _to_hsms(group: str) -> Json:
    pairs = [{"GroupId": group}]
    return {"IpProtocol": "tcp", "FromPort": 2223, "ToPort": 2225, "UserIdGroupPairs": pairs}


def _assumed_by(service: str) -> Json:
    principal = {"Service": f"{service}.amazonaws.com"}
    return {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}


def _allowed(actions: list[str], resource: str) -> Json:
    return {"Effect": "Allow", "Action": actions, "Resource": resource}


def _policy(*statements: Json) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _install(aws: LocalAws, client: str, document: str, package: str) -> None:
    """Install a client package, as an operator does by Run Command."""
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
    # Nothing jumps while the script runs, so it is over then.
    aws.admin.advance(A_WHILE)
