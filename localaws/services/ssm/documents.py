"""SSM documents and the API operations on them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from localaws.core.api_error import ApiError
from localaws.core.clock import Clock
from localaws.services.ssm import aws_documents, document_schema
from localaws.services.ssm.document_schema import AUTOMATION, COMMAND, Version
from localaws.services.ssm.interfaces import Json
from localaws.services.ssm.paging import page

NAME = re.compile(r"[a-zA-Z0-9_\-.]{3,128}")
RESERVED_PREFIXES = ("aws", "amazon", "amzn")
# The keys of a DocumentIdentifier, a subset of DocumentDescription.
LISTED_KEYS = (
    "Name",
    "Owner",
    "CreatedDate",
    "PlatformTypes",
    "DocumentVersion",
    "DocumentType",
    "SchemaVersion",
    "DocumentFormat",
    "Tags",
)


@dataclass
class Document:
    """A document with all its versions; `default` counts from 1."""

    name: str
    created: float
    tags: Sequence[Mapping[str, str]]
    versions: list[Version]
    default: int = 1
    kind: str = COMMAND
    deleted: set[int] = field(default_factory=set)
    owner: str = "Self"

    def pick(self, wanted: str | None) -> tuple[int, Version]:
        """The version called "3", "$LATEST" or "$DEFAULT" (None means $DEFAULT)."""
        latest = len(self.versions)
        number = {None: self.default, "$DEFAULT": self.default, "$LATEST": latest}.get(wanted)
        if number is None:
            number = int(wanted) if wanted and wanted.isdigit() else 0
        if not 1 <= number <= latest or number in self.deleted:
            raise ApiError(
                "InvalidDocumentVersion", f"Document {self.name} has no version {wanted}."
            )
        return number, self.versions[number - 1]


class Documents:
    """The documents of one account and Region."""

    def __init__(self, clock: Clock, account: str) -> None:
        self._clock = clock
        self._account = account
        self._documents: dict[str, Document] = {}
        self._of_aws = {
            name: Document(name, clock.now(), [], [version], owner="Amazon")
            for name, version in aws_documents.VERSIONS.items()
        }

    def names(self) -> list[str]:
        """The names of this account's documents."""
        return sorted(self._documents)

    def find(self, name: str) -> Document:
        """The document with this name or ARN, AWS's own among them."""
        return self._of_aws.get(name.rpartition("/")[2]) or self._own(name)

    def _own(self, name: str) -> Document:
        found = self._documents.get(name.rpartition("/")[2])
        if found is None:
            raise ApiError("InvalidDocument", f"Document with name {name} does not exist.")
        return found

    def create_document(self, parameters: Json) -> Json:
        """CreateDocument."""
        name = parameters["Name"]
        _check_name(name)
        kind = parameters.get("DocumentType", COMMAND)
        if kind not in (COMMAND, AUTOMATION):
            raise ApiError("InvalidDocumentContent", f"Documents of type {kind} are not modelled.")
        if name in self._documents:
            raise ApiError("DocumentAlreadyExists", f"Document with name {name} already exists.")
        version = _parse(parameters, kind)
        tags = parameters.get("Tags", [])
        document = Document(name, self._clock.now(), tags, [version], kind=kind)
        self._documents[name] = document
        return {"DocumentDescription": self._describe(document)}

    def update_document(self, parameters: Json) -> Json:
        """UpdateDocument: DocumentVersion is the version to replace, which must be the latest."""
        document = self._own(parameters["Name"])
        number, _ = document.pick(parameters.get("DocumentVersion", "$LATEST"))
        if number != len(document.versions):
            raise ApiError("InvalidDocumentVersion", "Only the latest version can be updated.")
        version = _parse(parameters, document.kind)
        if version.hash in {known.hash for known in document.versions}:
            raise ApiError(
                "DuplicateDocumentContent",
                "The content of the association document matches another document.",
            )
        document.versions.append(version)
        return {"DocumentDescription": self._describe(document, "$LATEST")}

    def update_document_default_version(self, parameters: Json) -> Json:
        """UpdateDocumentDefaultVersion."""
        document = self._own(parameters["Name"])
        document.default, _ = document.pick(parameters["DocumentVersion"])
        return {"Description": {"Name": document.name, "DefaultVersion": str(document.default)}}

    def delete_document(self, parameters: Json) -> Json:
        """DeleteDocument: all versions, or one that is not the default."""
        document = self._own(parameters["Name"])
        if "DocumentVersion" not in parameters:
            del self._documents[document.name]
            return {}
        number, _ = document.pick(parameters["DocumentVersion"])
        if number == document.default:
            raise ApiError("InvalidDocumentOperation", "The default version cannot be deleted.")
        document.deleted.add(number)
        return {}

    def describe_document(self, parameters: Json) -> Json:
        """DescribeDocument."""
        document = self.find(parameters["Name"])
        return {"Document": self._describe(document, parameters.get("DocumentVersion"))}

    def get_document(self, parameters: Json) -> Json:
        """GetDocument."""
        document = self.find(parameters["Name"])
        number, version = document.pick(parameters.get("DocumentVersion"))
        return {
            "Name": document.name,
            "CreatedDate": document.created,
            "DocumentVersion": str(number),
            "Status": "Active",
            "Content": version.content,
            "DocumentType": document.kind,
            "DocumentFormat": version.format,
        }

    def list_documents(self, parameters: Json) -> Json:
        """ListDocuments."""
        filters = parameters.get("Filters", [])
        found = []
        documents = {**self._of_aws, **self._documents}
        for document in sorted(documents.values(), key=lambda each: each.name):
            if all(_passes(document, filter_) for filter_ in filters):
                described = self._describe(document)
                found.append({key: described[key] for key in LISTED_KEYS})
        return page("DocumentIdentifiers", found, parameters)

    def _describe(self, document: Document, wanted: str | None = None) -> Json:
        number, version = document.pick(wanted)
        return {
            "Name": document.name,
            "Owner": self._account if document.owner == "Self" else document.owner,
            "CreatedDate": document.created,
            "Status": "Active",
            "DocumentVersion": str(number),
            "DefaultVersion": str(document.default),
            "LatestVersion": str(len(document.versions)),
            "Description": version.document.get("description", ""),
            "Parameters": [
                {
                    "Name": name,
                    "Type": declaration["type"],
                    "Description": declaration.get("description", ""),
                }
                for name, declaration in version.parameters.items()
            ],
            "PlatformTypes": ["Linux", "MacOS"],
            "DocumentType": document.kind,
            "DocumentFormat": version.format,
            "SchemaVersion": version.document["schemaVersion"],
            "Hash": version.hash,
            "HashType": "Sha256",
            "Tags": list(document.tags),
        }


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or name.lower().startswith(RESERVED_PREFIXES):
        raise ApiError(
            "ValidationException",
            f"'{name}' is not a valid document name: use 3 to 128 letters, digits or _-. and none "
            f"of the reserved prefixes {', '.join(RESERVED_PREFIXES)}.",
        )


def _parse(parameters: Json, kind: str) -> Version:
    format = parameters.get("DocumentFormat", "JSON")
    return document_schema.parse(parameters["Content"], format, kind)


def _passes(document: Document, filter_: Json) -> bool:
    values = {"Name": document.name, "DocumentType": document.kind, "Owner": document.owner}
    if filter_["Key"] not in values:
        raise ApiError("InvalidFilterKey", f"{filter_['Key']} is not modelled.")
    return any(values[filter_["Key"]].startswith(wanted) for wanted in filter_["Values"])
