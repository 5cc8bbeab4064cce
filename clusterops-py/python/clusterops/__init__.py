"""Treat many machines as one.

Examples
--------
>>> import clusterops as co
>>> co.HostSet("web[01-50]") - co.HostSet("web49")
HostSet('web[01-48,50]')
"""

from __future__ import annotations

from collections.abc import Set as _Set

from ._clusterops import HostSet, Inventory, Target
from .errors import (
    CancelledError,
    ClusterOpsError,
    CommandError,
    DeadlineError,
    DeniedError,
    InvalidError,
    LocalError,
    NotFoundError,
    ServerError,
    TransferError,
    UnreachableError,
)
from .protocols import GroupSource

_Set.register(HostSet)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

__all__ = [
    "CancelledError",
    "ClusterOpsError",
    "CommandError",
    "DeadlineError",
    "DeniedError",
    "GroupSource",
    "HostSet",
    "InvalidError",
    "Inventory",
    "LocalError",
    "NotFoundError",
    "ServerError",
    "Target",
    "TransferError",
    "UnreachableError",
]
