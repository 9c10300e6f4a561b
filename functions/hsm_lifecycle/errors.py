"""The errors of the workflows. Class names are public: state machines match on them.

Step Functions reports the class name as the error's name, and it begins the stack event's reason.
"""

from __future__ import annotations


class TransientError(Exception):
    """A retry may succeed: throttling, an AWS failure, a lost connection, a new IAM role."""


class ParameterError(Exception):
    """A stack parameter has an invalid value; the message begins with the parameter's name."""


class RefusedError(Exception):
    """An AWS service rejected a request; the message quotes the service."""


class SupersededError(Exception):
    """A newer CloudFormation request for the same stack is already running."""


class NotOwnedError(Exception):
    """The cluster, key store or request does not belong to this stack, so nothing was changed."""


class ClusterNotFoundError(Exception):
    """The cluster no longer exists."""


class ClusterInUseError(Exception):
    """A KMS key store uses the cluster."""


class KeyStoreNotFoundError(Exception):
    """The key store no longer exists."""


class ClusterNotDeletedError(Exception):
    """AWS repeatedly refused to delete the cluster."""


class HsmBusyError(Exception):
    """Another HSM operation on the same cluster has to finish first."""


class HsmNotCreatedError(Exception):
    """No subnet of the cluster yielded a working HSM."""


class CertificateError(Exception):
    """A certificate cannot be used for the cluster; the message says why."""


class HsmIdentityError(Exception):
    """The first HSM does not prove that it is genuine; the message names the wrong link."""


class SecretNotFoundError(Exception):
    """A required secret does not exist or has no value yet."""


class OutOfTimeError(Exception):
    """AWS was still working when the request's time limit approached."""


class UnexpectedError(Exception):
    """Unexpected error; see the function's log for the traceback."""
