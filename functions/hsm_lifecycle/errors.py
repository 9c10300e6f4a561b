"""Every error that a state machine matches on or that a person reads in a stack event.

The name of the class is public: Step Functions reports it as the error's name.
"""

from __future__ import annotations


class TransientError(Exception):
    """Trying again may help: throttling, an AWS failure, a lost connection, a new role."""


class ParameterError(Exception):
    """A stack parameter asks for what cannot be; the message begins with the parameter's name."""


class RefusedError(Exception):
    """An AWS service refused what was asked of it; the message quotes the service."""


class SupersededError(Exception):
    """A newer request of CloudFormation for the same stack is already at work."""


class ForeignClusterError(Exception):
    """The cluster does not carry this stack's tag, so this stack must not change it."""


class ClusterNotFoundError(Exception):
    """The cluster that a request is about no longer exists."""


class ClusterInUseError(Exception):
    """A KMS key store uses the cluster, so deleting it would make the store's keys unusable."""


class KeyStoreNotFoundError(Exception):
    """The key store that a request is about no longer exists."""


class ClusterNotDeletedError(Exception):
    """AWS kept refusing to delete the cluster."""


class HsmBusyError(Exception):
    """The HSM operation has to wait until another one on the same cluster is over."""


class HsmNotCreatedError(Exception):
    """In no subnet of the cluster did an HSM come up."""


class CertificateError(Exception):
    """A certificate cannot be used for the cluster; the message says what is wrong with it."""


class SecretNotFoundError(Exception):
    """A secret that the step needs does not exist or has no value yet."""


class OutOfTimeError(Exception):
    """AWS was still at work when the time that CloudFormation gives a request was nearly over."""


class UnexpectedError(Exception):
    """Something that nobody foresaw; the message names it, and the log has the traceback."""
