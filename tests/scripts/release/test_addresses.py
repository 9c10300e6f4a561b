from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from scripts.release import addresses, buckets
from scripts.release.addresses import AddressError
from scripts.release.buckets import Bucket, BucketError


@pytest.mark.parametrize(
    ("region", "bucket", "url"),
    [
        ("us-east-1", "plain", "https://plain.s3.us-east-1.amazonaws.com/a%20b.yml"),
        ("us-gov-west-1", "plain", "https://plain.s3.us-gov-west-1.amazonaws.com/a%20b.yml"),
        (
            "us-gov-east-1",
            "with.dots",
            "https://s3.us-gov-east-1.amazonaws.com/with.dots/a%20b.yml",
        ),
    ],
)
def test_a_template_s_url_has_the_host_of_its_region(region: str, bucket: str, url: str) -> None:
    assert addresses.template_url(region, bucket, "a b.yml") == url


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-central-1", "eu-central-1.console.aws.amazon.com"),
        ("us-gov-west-1", "console.amazonaws-us-gov.com"),
    ],
)
def test_a_quick_create_link_opens_the_console_of_its_partition(region: str, host: str) -> None:
    url = addresses.template_url(region, "plain", "a b.yml")
    link = urlsplit(addresses.quick_create(region, url, "cloudhsm"))
    assert (link.scheme, link.netloc, link.path) == ("https", host, "/cloudformation/home")
    assert link.query == f"region={region}"
    route, _, given = link.fragment.partition("?")
    assert route == "/stacks/create/review"
    assert parse_qs(given) == {"templateURL": [url], "stackName": ["cloudhsm"]}


def test_a_quick_create_link_has_values_of_parameters() -> None:
    given = {"pVersion1": "1.2.3", "pName": "a b"}
    link = urlsplit(addresses.quick_create("us-east-1", "https://url", "catalog", given))
    values = parse_qs(link.fragment.partition("?")[2])
    assert (values["param_pVersion1"], values["param_pName"]) == (["1.2.3"], ["a b"])


def test_buckets_are_read() -> None:
    found = buckets.parse("us-east-1=a, eu-central-1=b")
    assert found == [Bucket("us-east-1", "a"), Bucket("eu-central-1", "b")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("my-bucket", "'my-bucket' is not of the form region=bucket"),
        ("us-east-1=a,", "'' is not of the form"),
        ("us-east-1=a,us-east-1=b", "two buckets for us-east-1"),
        ("us-east-1=a,us-gov-west-1=b", "credentials are of one partition"),
        ("us-east=a", "us-east is not a Region"),
        ("cn-north-1=a", "aws-cn, where CloudHSM does not exist"),
    ],
)
def test_other_buckets_are_refused(text: str, message: str) -> None:
    with pytest.raises((AddressError, BucketError), match=message):
        buckets.parse(text)
