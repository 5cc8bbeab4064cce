"""Treat many machines as one.

Examples
--------
>>> import clusterops as co
>>> co.HostSet("web[01-50]") - co.HostSet("web49")
HostSet('web[01-48,50]')
"""

from __future__ import annotations

from collections.abc import Mapping as _Mapping
from collections.abc import Set as _Set
from typing import TypeAlias as _TypeAlias

from . import deploy as deploy
from . import logs as logs
from . import secrets as secrets
from ._clusterops import (
    Answer,
    AsyncRun,
    Chunk,
    ConfigLine,
    Connector,
    Fleet,
    Gathered,
    Groups,
    HostConfig,
    HostEvent,
    HostReport,
    HostSet,
    Inventory,
    Journal,
    Output,
    OutputEvent,
    Plan,
    Process,
    Report,
    Rollout,
    Run,
    RunAs,
    RunControl,
    RunEvent,
    Script,
    Session,
    SessionOptions,
    SshConfig,
    StageReport,
    Step,
    Stream,
    Target,
    TransferEvent,
    Transferred,
    arun,
    run,
)
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
from .options import CommandOptions, FileOptions, HttpOptions, SearchOptions, StageOptions, TransferOptions
from .protocols import Credentials, GroupSource, Identity, Purpose

Event: _TypeAlias = RunEvent | HostEvent | OutputEvent | TransferEvent

_Set.register(HostSet)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
_Mapping.register(Report)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

__all__ = [
    "Answer",
    "AsyncRun",
    "CancelledError",
    "Chunk",
    "ConfigLine",
    "ClusterOpsError",
    "CommandError",
    "CommandOptions",
    "Connector",
    "Credentials",
    "DeadlineError",
    "DeniedError",
    "Event",
    "FileOptions",
    "Fleet",
    "Gathered",
    "Groups",
    "HostConfig",
    "GroupSource",
    "HostEvent",
    "HostReport",
    "HostSet",
    "HttpOptions",
    "Identity",
    "InvalidError",
    "Inventory",
    "Journal",
    "LocalError",
    "NotFoundError",
    "Output",
    "OutputEvent",
    "Plan",
    "Process",
    "Purpose",
    "Report",
    "Rollout",
    "Run",
    "RunAs",
    "RunControl",
    "RunEvent",
    "Script",
    "SearchOptions",
    "ServerError",
    "Session",
    "SessionOptions",
    "SshConfig",
    "StageOptions",
    "StageReport",
    "Step",
    "Stream",
    "Target",
    "TransferError",
    "TransferEvent",
    "TransferOptions",
    "Transferred",
    "UnreachableError",
    "arun",
    "run",
]
