"""URLs of templates: those of S3 that CloudFormation takes, read with the caller's permissions.

https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html: an object
of S3, by https, and not of a static website. A URL that names another Region than the bucket's is
refused as S3 does (https://github.com/aws/aws-cli/issues/4512), the global one of a bucket outside
us-east-1 too (https://github.com/serverless/serverless/issues/6539); it exists in the partition aws
only. That the caller may read the object is required by
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-using-console-create-stack-template.html
(https://github.com/serverless/serverless/pull/13829 has the error). Stricter than what is known:
no other query than versionId, though presigned URLs were seen to work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from localaws.core.api_error import ApiError
from localaws.core.partitions import partition_of, url_suffix_of
from localaws.ministack.access import ministack
from localaws.ministack.iam import CallerPermissions
from localaws.ministack.offered import not_offered
from localaws.ministack.partitions import partition

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Authorize = Callable[[str, str, Mapping[str, Any]], None]

GLOBAL = "us-east-1"
# The endpoint of this local AWS, which is the S3 of its Region.
HERE = ("127.0.0.1", "localhost")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
S3_HOST = re.compile(
    r"((?P<bucket>[a-z0-9][a-z0-9.-]*)\.)?s3([.-](?P<region>[a-z]{2}(-[a-z]+)+-\d))?\.(?P<domain>[a-z.]+)"
)
ELSEWHERE = (
    "The bucket you are attempting to access must be addressed using the specified endpoint. "
    "Please send all future requests to this endpoint."
)
MORE = (
    "For more information check http://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"
)

_helpers = ministack("services.cloudformation.helpers")
_responses = ministack("core.responses")
_s3 = ministack("services.s3")


class UrlError(Exception):
    """CloudFormation refuses a URL, with this message."""


@dataclass(frozen=True)
class Place:
    """An object of S3, and the Region of the endpoint that a URL names; None for this one."""

    bucket: str
    key: str
    region: str | None


def install(emulator: EmulatorState) -> None:
    """Read documents from S3 as CloudFormation does."""
    resolve_document = _helpers._resolve_document
    authorize = CallerPermissions(emulator).authorize

    def resolve(params: Mapping[str, Any], body_key: str, url_key: str, label: str) -> Any:
        url = _helpers._p(params, url_key)
        if not url or _helpers._p(params, body_key):
            return resolve_document(params, body_key, url_key, label)
        try:
            place = place_of(url, url_key)
            _require_readable(place, authorize)
        except UrlError as error:
            return None, _helpers._error("ValidationError", str(error))
        except ApiError as error:
            return None, _helpers._error(error.code, error.message)
        path_style = f"https://s3.amazonaws.com/{place.bucket}/{place.key}"
        return resolve_document({url_key: [path_style]}, body_key, url_key, label)

    _helpers._resolve_document = resolve


def place_of(url: str, name: str = "TemplateURL") -> Place:
    """What a URL leads to."""
    unsupported = UrlError(f"{name} must be a supported URL.")
    parts = urlsplit(url)
    bucket, region = None, None
    if parts.hostname not in HERE:
        host = S3_HOST.fullmatch(parts.hostname or "")
        if parts.scheme != "https" or parts.port or not host:
            raise unsupported
        bucket, region = host["bucket"], host["region"] or GLOBAL
        if host["domain"] != url_suffix_of(region) or (
            not host["region"] and partition() != partition_of(GLOBAL)
        ):
            raise unsupported
    if set(parse_qs(parts.query)) == {"versionId"}:
        raise not_offered("versions of templates")
    if parts.query or parts.fragment:
        raise unsupported
    path = unquote(parts.path).lstrip("/")
    if bucket is None:
        bucket, _, path = path.partition("/")
    if not bucket or not path:
        raise unsupported
    return Place(bucket, path, region)


def _require_readable(place: Place, authorize: Authorize) -> None:
    """The order is S3's: the Region of the bucket, the caller's permissions, the object."""
    home = _s3.bucket_region(place.bucket)
    if home and place.region not in (None, home):
        raise _s3_error(ELSEWHERE)
    try:
        authorize("s3:GetObject", f"arn:{partition()}:s3:::{place.bucket}/{place.key}", {})
    except ApiError as error:
        raise _s3_error("Access Denied") from error
    if not home:
        raise _s3_error("The specified bucket does not exist")
    if place.key not in _s3._buckets[place.bucket]["objects"]:
        raise _s3_error("The specified key does not exist.")


def _s3_error(problem: str) -> UrlError:
    return UrlError(f"S3 error: {problem}\n{MORE}")


def region_problem(bucket: str) -> str | None:
    """Why a resource of this Region cannot read from a bucket; None if it can.

    Lambda: "An Amazon S3 bucket in the same AWS Region as your function",
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-lambda-function-code.html
    The message: https://github.com/aws-samples/webauthn-with-amazon-cognito/pull/8. Nothing says
    that Step Functions reads across Regions, so it does not.
    """
    home = _s3.bucket_region(bucket)
    if not home or home == _responses.get_region():
        return None
    return (
        "Error occurred while GetObject. S3 Error Code: PermanentRedirect. S3 Error Message: The "
        f"bucket is in this region: {home}. Please use this region to retry the request"
    )
