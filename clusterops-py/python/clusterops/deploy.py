"""Sealed documents deployed to Marathons: opened in memory, posted, followed.

The README has an example.
"""

from __future__ import annotations

from ._clusterops import (
    Change,
    Deploy,
    Deployed,
    DryRun,
    Marathon,
    adry_run,
    dry_run,
)

__all__ = [
    "Change",
    "Deploy",
    "Deployed",
    "DryRun",
    "Marathon",
    "adry_run",
    "dry_run",
]
