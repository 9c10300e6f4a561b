"""The network without internet access: its endpoints, beside the scenario that deploys it."""

from __future__ import annotations

import re

from scripts.preflight.checks import client_network
from scripts.templates import load
from tests.templates.template import ROOT

NETWORK = load(ROOT / "examples" / "no-internet" / "network.yml")


def _of_type(name: str) -> list[dict[str, object]]:
    resources = NETWORK["Resources"].values()
    return [each["Properties"] for each in resources if each["Type"] == f"AWS::EC2::{name}"]


def _service(endpoint: dict[str, object]) -> str:
    return str(endpoint["ServiceName"]).rstrip("}'").rpartition(".")[2]


def test_the_network_without_internet_has_the_endpoints_that_preflight_demands() -> None:
    endpoints = {_service(each): each for each in _of_type("VPCEndpoint")}
    assert set(endpoints) == {*client_network._INTERFACES, "s3"}
    gateway = endpoints.pop("s3")
    assert gateway["VpcEndpointType"] == "Gateway"
    assert gateway["RouteTableIds"] == [{"Ref": "rRouteTable"}]
    assert {each["VpcEndpointType"] for each in endpoints.values()} == {"Interface"}
    assert all(each["PrivateDnsEnabled"] is True for each in endpoints.values())
    (vpc,) = _of_type("VPC")
    assert (vpc["EnableDnsSupport"], vpc["EnableDnsHostnames"]) == (True, True)


def test_the_network_without_internet_leads_nowhere_else() -> None:
    kinds = {each["Type"].removeprefix("AWS::EC2::") for each in NETWORK["Resources"].values()}
    assert kinds & {"InternetGateway", "NatGateway", "Route"} == set()
    routed = [each["SubnetId"] for each in _of_type("SubnetRouteTableAssociation")]
    assert routed == [{"Ref": "rSubnetA"}, {"Ref": "rSubnetB"}]


def test_the_network_without_internet_prints_parameters_of_the_template() -> None:
    text = NETWORK["Outputs"]["oParameters"]["Value"]["Fn::Sub"]
    named = set(re.findall(r"\b(p[A-Z]\w+)=", text))
    assert named == {"pSubnets", "pClientVpcId", "pClientSubnet"}
    assert named <= set(load(ROOT / "templates" / "cloudhsm.yml")["Parameters"])
