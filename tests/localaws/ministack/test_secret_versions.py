from __future__ import annotations

import pytest

from localaws.client import LocalAws
from tests.localaws.ministack.support import unique_name


def test_versions_are_dated_in_virtual_time(aws: LocalAws) -> None:
    secrets, name = aws.client("secretsmanager"), unique_name("secret")
    secrets.create_secret(Name=name, SecretString="first")
    aws.admin.advance(86400)
    secrets.put_secret_value(SecretId=name, SecretString="second")
    now = aws.admin.clock()["now"]
    versions = secrets.list_secret_version_ids(SecretId=name)["Versions"]
    ages = {
        stage: round((now - version["CreatedDate"].timestamp()) / 86400)
        for version in versions
        for stage in version["VersionStages"]
    }
    assert ages == {"AWSCURRENT": 0, "AWSPREVIOUS": 1}


def test_versions_without_a_label_are_listed_on_request(aws: LocalAws) -> None:
    secrets, name = aws.client("secretsmanager"), unique_name("secret")
    secrets.create_secret(Name=name, SecretString="first")
    version = secrets.put_secret_value(SecretId=name, SecretString="x", VersionStages=["candidate"])
    secrets.update_secret_version_stage(
        SecretId=name, VersionStage="candidate", RemoveFromVersionId=version["VersionId"]
    )
    labelled = secrets.list_secret_version_ids(SecretId=name)["Versions"]
    assert [each["VersionStages"] for each in labelled] == [["AWSCURRENT"]]
    every = secrets.list_secret_version_ids(SecretId=name, IncludeDeprecated=True)["Versions"]
    assert len(every) == 2


def test_reads_show_writes_after_a_while() -> None:
    with LocalAws(timings={"secret_readable": 5}) as aws:
        secrets = aws.client("secretsmanager")
        secrets.create_secret(Name="one", SecretString="first")
        for read in (secrets.get_secret_value, secrets.describe_secret):
            with pytest.raises(secrets.exceptions.ResourceNotFoundException):
                read(SecretId="one")
        assert secrets.list_secrets()["SecretList"] == []
        with pytest.raises(secrets.exceptions.ResourceExistsException):
            secrets.create_secret(Name="one", SecretString="other")
        aws.admin.advance(3)
        secrets.put_secret_value(SecretId="one", SecretString="second")
        aws.admin.advance(3)
        assert secrets.get_secret_value(SecretId="one")["SecretString"] == "first"
        assert len(secrets.list_secret_version_ids(SecretId="one")["Versions"]) == 1
        aws.admin.advance(3)
        assert secrets.get_secret_value(SecretId="one")["SecretString"] == "second"
        assert [each["Name"] for each in secrets.list_secrets()["SecretList"]] == ["one"]
