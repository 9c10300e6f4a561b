from __future__ import annotations

import os
import socket
import urllib.error
import urllib.request

import boto3
import pytest


def test_a_lookup_of_a_name_beyond_this_machine_is_refused() -> None:
    with pytest.raises(Exception, match="only use the network of this machine"):
        socket.getaddrinfo("example.com", 443)


def test_a_connection_beyond_this_machine_is_refused() -> None:
    with (
        socket.socket() as connection,
        pytest.raises(Exception, match=r"this machine, not 192\.0\.2\.1"),
    ):
        connection.connect(("192.0.2.1", 443))


def test_a_datagram_beyond_this_machine_is_refused() -> None:
    with (
        socket.socket(type=socket.SOCK_DGRAM) as connection,
        pytest.raises(Exception, match=r"this machine, not 192\.0\.2\.1"),
    ):
        connection.sendto(b"", ("192.0.2.1", 53))


def test_loopback_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("localhost", port)), socket.socket() as again:
            again.connect(("127.0.0.1", port))


def test_a_library_cannot_reach_aws() -> None:
    with pytest.raises(Exception, match="only use the network of this machine"):
        boto3.client("sts").get_caller_identity()


def test_no_real_credentials_are_in_the_environment() -> None:
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == "testing"
    assert not {"AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL"} & set(os.environ)


def test_make_does_not_hand_its_flags_to_tests() -> None:
    assert "MAKEFLAGS" not in os.environ


def test_a_url_beyond_this_machine_is_refused() -> None:
    with pytest.raises(Exception, match="only use the network of this machine"):
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open("http://example.com/")
