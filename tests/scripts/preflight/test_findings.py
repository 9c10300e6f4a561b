"""Each error and warning of each check, provoked once."""

from __future__ import annotations

import json
import re
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from typing import Any

import pytest

from rehearsal import test_ca
from scripts.preflight import plan
from scripts.preflight.findings import ERROR, OK, WARNING, Finding
from tests.scripts.preflight.support import (
    CLUSTER,
    KEY_STORE,
    Change,
    Laboratory,
    failing,
    findings,
)

ARM_PARAMETER = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
NO_BACKUP = "backup-aaaaaaaaaaa"


@dataclass(frozen=True)
class Case:
    """Parameters, a change of the account or of what was read, and the row that is expected."""

    check: str
    level: str
    text: str
    parameters: Callable[[Laboratory], dict[str, str]] | dict[str, str]
    change: Change = lambda laboratory, subject: None

    def given(self, laboratory: Laboratory) -> dict[str, str]:
        return self.parameters if isinstance(self.parameters, dict) else self.parameters(laboratory)

    @property
    def id(self) -> str:
        return f"{self.check}-{re.sub('[^a-zA-Z ]', '', self.text)[:50]}"


def _set(name: str, make: Callable[[Any], Any]) -> Change:
    """Change what a subject has read of the account."""

    def change(laboratory: Laboratory, subject: Any) -> None:
        subject.__dict__[name] = make(getattr(subject, name))

    return change


def _no_way_out(laboratory: Laboratory, number: int = 31) -> dict[str, str]:
    vpc, subnet = laboratory.network(number)
    return {"pClientVpcId": vpc, "pClientSubnet": subnet}


def _without_public_address(laboratory: Laboratory, subject: Any) -> None:
    subject.__dict__["client_subnet"] = {**subject.client_subnet, "MapPublicIpOnLaunch": False}


def _with_endpoints(laboratory: Laboratory, subject: Any) -> None:
    ec2, subnet = laboratory.aws.client("ec2"), subject.client_subnet
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])
    for service in ("ssm", "ssmmessages", "secretsmanager"):
        ec2.create_vpc_endpoint(
            VpcId=subnet["VpcId"],
            ServiceName=f"com.amazonaws.us-east-1.{service}",
            VpcEndpointType="Interface",
            SubnetIds=[subnet["SubnetId"]],
        )
    ec2.create_vpc_endpoint(
        VpcId=subnet["VpcId"],
        ServiceName="com.amazonaws.us-east-1.s3",
        RouteTableIds=[tables["RouteTables"][0]["RouteTableId"]],
    )
    for attribute in ("EnableDnsSupport", "EnableDnsHostnames"):
        ec2.modify_vpc_attribute(VpcId=subnet["VpcId"], **{attribute: {"Value": True}})


def _with_endpoints_but_no_dns(laboratory: Laboratory, subject: Any) -> None:
    _with_endpoints(laboratory, subject)
    laboratory.aws.client("ec2").modify_vpc_attribute(
        VpcId=subject.client_subnet["VpcId"], EnableDnsHostnames={"Value": False}
    )


def _blackhole(laboratory: Laboratory, subject: Any) -> None:
    assert subject.client_subnet  # read before
    subject.account.pages = lambda service, operation, key, **request: iter(
        [
            {
                "RouteTableId": "rtb-1",
                "Associations": [{"Main": True}],
                "Routes": [{"DestinationCidrBlock": "0.0.0.0/0", "State": "blackhole"}],
            }
        ]
        if operation == "describe_route_tables"
        else []
    )


def _secret(value: str | None, *, deleted: bool = False) -> Callable[[Laboratory, str], str]:
    def make(laboratory: Laboratory, name: str) -> str:
        secrets = laboratory.aws.client("secretsmanager")
        secrets.create_secret(Name=name, **({} if value is None else {"SecretString": value}))
        if deleted:
            secrets.delete_secret(SecretId=name)
        return name

    return make


def _log_group(laboratory: Laboratory, subject: Any) -> None:
    laboratory.aws.client("logs").create_log_group(
        logGroupName=f"/aws/lambda/{subject.prefix}-request"
    )


def _backup(laboratory: Laboratory, **changes: str) -> dict[str, str]:
    backups = laboratory.aws.client("cloudhsmv2").describe_backups()["Backups"]
    return laboratory.cluster_parameters(pBackupId=backups[0]["BackupId"], **changes)


def _deleted_backup(laboratory: Laboratory) -> dict[str, str]:
    cloudhsm = laboratory.aws.client("cloudhsmv2")
    backups = cloudhsm.describe_backups(SortAscending=True)["Backups"]
    cloudhsm.delete_backup(BackupId=backups[0]["BackupId"])
    return laboratory.cluster_parameters(pBackupId=backups[0]["BackupId"])


def _in_cluster(**changes: str) -> Callable[[Laboratory], dict[str, str]]:
    return lambda laboratory: laboratory.cluster_parameters(**changes)


def _in_key_store(**changes: str) -> Callable[[Laboratory], dict[str, str]]:
    return lambda laboratory: laboratory.key_store_parameters(**changes)


def _clusters(count: int) -> Change:
    return _set("clusters", lambda clusters: clusters * count)


def _free(count: int) -> Change:
    return _set(
        "described_subnets",
        lambda subnets: [{**each, "AvailableIpAddressCount": count} for each in subnets],
    )


def _free_in_cluster(count: int) -> Change:
    def change(laboratory: Laboratory, subject: Any) -> None:
        find = subject.find_subnets
        subject.find_subnets = lambda ids: [
            {**each, "AvailableIpAddressCount": count} for each in find(ids)
        ]

    return change


def _no_cloudhsm(laboratory: Laboratory, subject: Any) -> None:
    failing(subject.account, "describe_vpc_endpoint_services", "InvalidServiceName").__enter__()


OTHER_CA = "pCloudHsmCustCaCertSecretName"
ADMIN = "pCloudHsmAdminPasswordSecretName"


def _ca_of_another(laboratory: Laboratory) -> dict[str, str]:
    other = test_ca.make_ca(laboratory.aws.admin.clock()["now"]).pem
    return laboratory.key_store_parameters(**{OTHER_CA: _secret(other)(laboratory, "/try/other")})


def _named(parameter: str, name: str, value: str | None, **more: bool) -> Any:
    return lambda laboratory: laboratory.key_store_parameters(
        **{parameter: _secret(value, **more)(laboratory, name)}
    )


def _unreadable_client(laboratory: Laboratory) -> dict[str, str]:
    text = json.dumps({"username": "admin", "password": "x"})
    return laboratory.key_store_parameters(**{ADMIN: _secret(text)(laboratory, "/try/admin")})


def _instance(**changes: Any) -> Change:
    """Change what EC2 says about the client."""

    def change(laboratory: Laboratory, subject: Any) -> None:
        ask = subject.account.ask

        def asked(service: str, operation: str, **request: Any) -> Any:
            found = ask(service, operation, **request)
            if operation == "describe_instances":
                found["Reservations"][0]["Instances"][0].update(changes)
            return found

        subject.account.ask = asked

    return change


def _offline(laboratory: Laboratory, subject: Any) -> None:
    subject.account.pages = lambda *_, **__: iter([])


STORE = {
    "CustomKeyStoreId": "cks-0123456789abcdef0",
    "CustomKeyStoreName": "new",
    "ConnectionState": "CONNECTED",
}


def _store(**more: str) -> Change:
    return _set("key_stores", lambda stores: [*stores, {**STORE, **more}])


def _cluster_is(**changes: Any) -> Change:
    return _set("clusters", lambda clusters: [{**each, **changes} for each in clusters])


CASES = (
    # The values
    Case("parameters", ERROR, "pSubnets: a new stack requires it", {}),
    Case(
        "parameters",
        ERROR,
        "pEnvpurpose: .* Did you mean pEnvPurpose",
        _in_cluster(pEnvpurpose="2"),
    ),
    Case("parameters", ERROR, "pEnvPurpose: 'UP' must be", _in_cluster(pEnvPurpose="UP")),
    Case("parameters", ERROR, "pMode: 'X' is not one of FIPS", _in_cluster(pMode="X")),
    Case(
        "parameters", ERROR, "pHsmsPerSubnet: '29' is not a whole", _in_cluster(pHsmsPerSubnet="29")
    ),
    Case("parameters", ERROR, "pHsmsPerSubnet: a new cluster", _in_cluster(pHsmsPerSubnet="0")),
    Case("parameters", ERROR, "pHsmsPerSubnet: 28 in each", _in_cluster(pHsmsPerSubnet="28")),
    Case("parameters", ERROR, "pHsmType: AWS creates no", _in_cluster(pHsmType="hsm1.medium")),
    Case(
        "parameters",
        ERROR,
        "pClientPkgUrl requires pClientPkgSha256",
        _in_cluster(pClientPkgUrl="https://example.com/a.rpm"),
    ),
    Case(
        "parameters",
        ERROR,
        "pSubnets: subnet-00000001 is listed twice",
        _in_cluster(pSubnets="subnet-00000001,subnet-00000001"),
    ),
    Case("subnets", WARNING, "not checked.*pSubnets", {}),
    # The account
    Case("quotas", ERROR, "clusters: 4 . 1 of 4.*L-4B16B391", _in_cluster(), _clusters(4)),
    Case("quotas", ERROR, "HSMs: 2 . 6 of 6.*pHsmsPerSubnet", _in_cluster(pHsmsPerSubnet="3")),
    Case("quotas", OK, "HSMs: 2 . 2 of 6", _in_cluster()),
    Case(
        "quotas",
        WARNING,
        "key stores: 10 exist",
        _in_key_store(),
        _set("key_stores", lambda _: [STORE] * 10),
    ),
    Case("service roles", OK, "AWSServiceRoleForCloudHSM exists", _in_cluster()),
    Case("service roles", WARNING, "CustomKeyStores does not exist", _in_key_store()),
    # The cluster's network
    Case(
        "subnets",
        ERROR,
        "pSubnets: subnet-00000009 does not exist",
        _in_cluster(pSubnets="subnet-00000001,subnet-00000009"),
    ),
    Case(
        "subnets",
        ERROR,
        "pSubnets: .* several VPCs",
        lambda each: each.cluster_parameters(
            pSubnets=f"{each.aws.subnets[1]},{each.network(30)[1]}"
        ),
    ),
    Case(
        "subnets",
        WARNING,
        "pSubnets: one Availability Zone",
        _in_cluster(pSubnets="subnet-00000001"),
    ),
    Case("subnets", ERROR, "has 0 free addresses for 1", _in_cluster(), _free(0)),
    Case("subnets", WARNING, "has 1 free addresses for 1.*replace", _in_cluster(), _free(1)),
    Case(
        "subnets",
        WARNING,
        "endpoint is not in us-east-1c",
        _in_cluster(pSubnets="subnet-00000001,subnet-00000003"),
    ),
    Case("subnets", WARNING, "zones are unknown", _in_cluster(), _no_cloudhsm),
    # The client
    Case(
        "client network",
        ERROR,
        "pClientSubnet: subnet-00000009 does not exist",
        _in_cluster(pClientSubnet="subnet-00000009"),
    ),
    Case(
        "client network",
        ERROR,
        "pClientSubnet: subnet-00000001 is in vpc-00000001, but pClientVpcId is vpc-1",
        _in_cluster(pClientVpcId="vpc-11111111"),
    ),
    Case(
        "client network",
        ERROR,
        "pClientVpcId: .* is not peered",
        lambda each: each.cluster_parameters(**_no_way_out(each)),
    ),
    Case(
        "client network",
        ERROR,
        "pClientSubnet: subnet-00000001 has no free address",
        _in_cluster(),
        _set("client_subnet", lambda subnet: {**subnet, "AvailableIpAddressCount": 0}),
    ),
    Case(
        "client network",
        ERROR,
        "pClientSubnet: .*no default route.* ssm, ssmmessages, secretsmanager, s3",
        lambda each: each.cluster_parameters(**_no_way_out(each, 32)),
    ),
    Case("client network", ERROR, "no public address", _in_cluster(), _without_public_address),
    Case("client network", ERROR, "is a blackhole", _in_cluster(), _blackhole),
    Case(
        "client network",
        OK,
        "through VPC endpoints",
        lambda each: each.cluster_parameters(**_no_way_out(each, 33)),
        _with_endpoints,
    ),
    Case(
        "client network",
        ERROR,
        "private DNS .*enableDnsHostnames=false",
        lambda each: each.cluster_parameters(**_no_way_out(each, 34)),
        _with_endpoints_but_no_dns,
    ),
    Case(
        "client image",
        ERROR,
        "pClientAmiSsmParameter: there is no SSM parameter /no",
        _in_cluster(pClientAmiSsmParameter="/no"),
    ),
    Case(
        "client image",
        ERROR,
        "pClientAmiId: there is no image",
        _in_cluster(pClientAmiId="ami-00000000"),
    ),
    Case("client image", ERROR, "pClientType: us-east-1 does not", _in_cluster(pClientType="t9.x")),
    Case(
        "client image",
        ERROR,
        "pClientType: us-east-1c, the zone of pClientSubnet",
        _in_cluster(
            pClientType="a1.large",
            pClientSubnet="subnet-00000003",
            pClientAmiSsmParameter=ARM_PARAMETER,
        ),
    ),
    Case(
        "client image",
        ERROR,
        "pClientType: t4g.small is arm64, but the image is x86_64",
        _in_cluster(pClientType="t4g.small"),
    ),
    Case("names", OK, "cloudhsm-1-. are free", _in_cluster()),
    Case(
        "names",
        ERROR,
        "pEnvPurpose: .*-left-request exist",
        _in_cluster(pEnvPurpose="left"),
        _log_group,
    ),
    # The backup
    Case("backup", ERROR, f"pBackupId: backup {NO_BACKUP}", _in_cluster(pBackupId=NO_BACKUP)),
    Case("backup", ERROR, "pBackupId: .*PENDING_DELETION", _deleted_backup),
    Case("backup", ERROR, "pMode: .*FIPS mode", lambda each: _backup(each, pMode="NON_FIPS")),
    Case("backup", ERROR, "pBackupCaCertSecretName: .*/customer-ca-cert does not", _backup),
    Case(
        "backup",
        ERROR,
        "pBackupAdminPasswordSecretName: the secret .*/ca is not of the form",
        lambda each: _backup(each, pBackupAdminPasswordSecretName=each.cluster.ca_secret),
    ),
    # The key store
    Case(
        "cluster",
        ERROR,
        "pCloudHsmClusterId: cluster cluster-aaaaaaaaaaa does not exist",
        _in_key_store(pCloudHsmClusterId="cluster-aaaaaaaaaaa"),
    ),
    Case(
        "cluster",
        ERROR,
        "pCloudHsmClusterId: .* is DEGRADED",
        _in_key_store(),
        _cluster_is(State="DEGRADED"),
    ),
    Case("cluster", ERROR, "pCloudHsmClusterId: .*in 0 of", _in_key_store(), _cluster_is(Hsms=[])),
    Case(
        "cluster",
        ERROR,
        "pCloudHsmClusterId: .*already has the key store",
        _in_key_store(),
        lambda each, subject: _store(CloudHsmClusterId=each.cluster.cluster_id)(each, subject),
    ),
    Case("key store", ERROR, "pKeyStoreName: .* already exists", _in_key_store(), _store()),
    Case("key store", OK, "new is free", _in_key_store()),
    Case(
        "key store",
        ERROR,
        "pExistingKeyStoreId: cks-0123456789abcdef0 does not exist here",
        _in_key_store(pExistingKeyStoreId="cks-0123456789abcdef0"),
    ),
    Case(
        "key store",
        ERROR,
        "pExistingKeyStoreId: .* is CONNECTED. Disconnect it first",
        _in_key_store(pExistingKeyStoreId=STORE["CustomKeyStoreId"]),
        _store(CloudHsmClusterId="cluster-aaaaaaaaaaa"),
    ),
    Case(
        "key store",
        OK,
        "can be taken",
        _in_key_store(pExistingKeyStoreId=STORE["CustomKeyStoreId"]),
        _store(CloudHsmClusterId="cluster-aaaaaaaaaaa", ConnectionState="DISCONNECTED"),
    ),
    Case("CA certificate", OK, "has the cluster's CA", _in_key_store()),
    Case("CA certificate", ERROR, f"{OTHER_CA}: .*/try/other", _ca_of_another),
    Case(
        "CA certificate", ERROR, f"{OTHER_CA}: .*/try/junk", _named(OTHER_CA, "/try/junk", "junk")
    ),
    Case(
        "CA certificate",
        ERROR,
        f"{OTHER_CA}: .*/try/none does not",
        _in_key_store(**{OTHER_CA: "/try/none"}),
    ),
    Case("admin secret", OK, "has a user name", _in_key_store()),
    Case("admin secret", ERROR, f"{ADMIN}: .*not of the form", _named(ADMIN, "/try/text", "text")),
    Case("admin secret", ERROR, f"{ADMIN}: .*no text value", _named(ADMIN, "/try/empty", None)),
    Case(
        "admin secret",
        ERROR,
        f"{ADMIN}: .*scheduled for deletion.*restore-secret",
        _named(ADMIN, "/try/deleted", "{}", deleted=True),
    ),
    Case("subnets", ERROR, "pCloudHsmClusterId: .*0 free", _in_key_store(), _free_in_cluster(0)),
    Case("subnets", WARNING, "pCloudHsmClusterId: .*1 free", _in_key_store(), _free_in_cluster(1)),
    Case(
        "client",
        ERROR,
        "pClientInstanceId: there is no instance",
        _in_key_store(pClientInstanceId="i-00000000000000000"),
    ),
    Case("client", OK, "its SSM agent Online", _in_key_store()),
    Case(
        "client",
        OK,
        "the workflow starts it",
        _in_key_store(),
        _instance(State={"Name": "stopped"}),
    ),
    Case(
        "client",
        WARNING,
        "pClientInstanceId: .*vpc-2, the cluster",
        _in_key_store(),
        _instance(VpcId="vpc-2"),
    ),
    Case("client", ERROR, "agent of i-.* not registered", _in_key_store(), _offline),
    Case("client", ERROR, "no instance profile", _in_key_store(), _instance(IamInstanceProfile={})),
    Case("client", ERROR, f"its role may not read /try/admin.*{ADMIN}", _unreadable_client),
    Case("client", OK, "may read both", _in_key_store()),
    Case(
        "names",
        ERROR,
        "pEnvPurpose: the secret /gone/1/kmsuser-password is scheduled",
        _in_key_store(pSystem="gone"),
        lambda each, _: _secret("x", deleted=True)(each, "/gone/1/kmsuser-password"),
    ),
    Case(
        "names",
        ERROR,
        "pEnvPurpose: the secret /there/1/kmsuser-password exists",
        _in_key_store(pSystem="there"),
        lambda each, _: _secret("x")(each, "/there/1/kmsuser-password"),
    ),
)


def _has(found: list[Finding], case: Case) -> bool:
    return any(
        (each.check, each.level) == (case.check, case.level)
        and re.search(case.text, f"{each.text} {each.advice}")
        for each in found
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_findings(case: Case, laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    given = case.given(laboratory)
    of_key_store = "pCloudHsmClusterId" in given
    subject = laboratory.subject(KEY_STORE if of_key_store else CLUSTER, given)
    case.change(laboratory, subject)
    found = findings(subject, monkeypatch, case.check)
    assert _has(found, case), found
    if case.level != OK:
        (row, *_) = [each for each in found if re.search(case.text, f"{each.text} {each.advice}")]
        assert row.parameter or row.check in ("quotas", "service roles", "subnets"), row


def test_the_existing_cluster_may_have_a_key_store(laboratory: Laboratory) -> None:
    subject = laboratory.subject(KEY_STORE, laboratory.key_store_parameters())
    found = list(plan.findings(subject))
    assert not plan.has_errors(found), found


@pytest.mark.parametrize(
    ("failure", "level", "text"),
    [
        (
            urllib.error.HTTPError("", 404, "", Message(), None),
            ERROR,
            "pClientPkgUrl: .*answers 404",
        ),
        (
            urllib.error.HTTPError("", 503, "", Message(), None),
            WARNING,
            "pClientPkgUrl: .*answers 503",
        ),
        (
            urllib.error.URLError("no route"),
            WARNING,
            "pClientPkgUrl: .*not reached from here: no route",
        ),
    ],
)
def test_addresses_of_packages(
    laboratory: Laboratory,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    level: str,
    text: str,
) -> None:
    def fail(url: str) -> str:
        raise failure

    monkeypatch.setattr("scripts.preflight.checks.client_image._length", fail)
    subject = laboratory.subject(CLUSTER, laboratory.cluster_parameters())
    found = findings(subject, monkeypatch, "client package")
    assert _has(found, Case("client package", level, text, {})), found


def test_a_package_in_a_bucket_is_left_to_the_client(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "s3://my-packages/a.rpm"
    given = laboratory.cluster_parameters(pClientPkgUrl=url, pClientPkgSha256="0" * 64)
    found = findings(laboratory.subject(CLUSTER, given), monkeypatch, "client package")
    text = f"not read from here; the client reads {url} with its role"
    assert _has(found, Case("client package", WARNING, text, {})), found


def test_the_built_in_package_is_that_of_the_template(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = laboratory.subject(CLUSTER, laboratory.cluster_parameters(pClientType="t4g.small"))
    found = findings(subject, monkeypatch, "client package")
    version = r"cloudhsm-cli-[0-9.]+-1\.amzn2023\.aarch64\.rpm, 1 bytes"
    assert _has(found, Case("client package", OK, version, {})), found


def test_outside_of_the_packages_region_endpoints_lead_to_no_package(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = laboratory.cluster_parameters(**_no_way_out(laboratory, 35))
    subject = laboratory.subject(CLUSTER, given)
    _with_endpoints(laboratory, subject)
    monkeypatch.setattr("scripts.preflight.checks.client_network._PACKAGES", "eu-west-1")
    found = findings(subject, monkeypatch, "client network")
    assert _has(found, Case("client network", ERROR, "pClientPkgUrl: endpoints lead", {})), found


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("ThrottlingException", "not checked: describe_vpc_endpoint_services: Throttling"),
        ("UnauthorizedOperation", "not checked"),
    ],
)
def test_what_cannot_be_read_is_a_warning(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, code: str, text: str
) -> None:
    subject = laboratory.subject(CLUSTER, laboratory.cluster_parameters())
    with failing(subject.account, "describe_vpc_endpoint_services", code):
        found = findings(subject, monkeypatch, "subnets")
    assert _has(found, Case("subnets", WARNING, text, {})), found
