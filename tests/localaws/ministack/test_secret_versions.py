from __future__ import annotations

from localaws.client import LocalAws
from tests.localaws.ministack.support import unique_name


def test_versions_are_dated_in_virtual_time_and_listed_without_a_label_on_request(
    aws: LocalAws,
) -> None:
    secrets, name = aws.client("secretsmanager"), unique_name("secret")
    secrets.create_secret(Name=name, SecretString="first")
    for text in ("second", "third"):
        aws.admin.advance(86400)
        secrets.put_secret_value(SecretId=name, SecretString=text)
    now = aws.admin.clock()["now"]
    every = secrets.list_secret_version_ids(SecretId=name, IncludeDeprecated=True)["Versions"]
    ages = sorted(round((now - each["CreatedDate"].timestamp()) / 86400) for each in every)
    assert ages == [0, 1, 2]
    labelled = secrets.list_secret_version_ids(SecretId=name)["Versions"]
    stages = sorted(stage for each in labelled for stage in each["VersionStages"])
    assert stages == ["AWSCURRENT", "AWSPREVIOUS"]
