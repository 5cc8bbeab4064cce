"""Which worker gets which hosts."""

from __future__ import annotations

from collections.abc import Sequence

from .._clusterops import Target

__all__ = ["deal"]


def deal(targets: Sequence[Target], workers: Sequence[str], jump: str | None = None) -> dict[str, list[Target]]:
    """The hosts of each worker, in the order of the targets; workers that get none are left out.

    Hosts behind one jump host stay together, the largest of these groups first and each to who has the fewest hosts yet;
    then the others fill up. ``jump`` leads to hosts that name no jump hosts themselves.
    """
    behind: dict[str, list[Target]] = {}
    alone: list[Target] = []
    for target in targets:
        gate = _gate(jump if target.jump is None else target.jump)
        if gate is None:
            alone.append(target)
        else:
            behind.setdefault(gate, []).append(target)
    shares: dict[str, list[Target]] = {worker: [] for worker in workers}

    def least() -> list[Target]:
        return min(shares.values(), key=len)

    for group in sorted(behind.values(), key=len, reverse=True):
        least().extend(group)
    for target in alone:
        least().append(target)
    places = {target.name: place for place, target in enumerate(targets)}
    return {
        worker: sorted(share, key=lambda target: places[target.name]) for worker, share in shares.items() if share
    }


def _gate(jump: str | None) -> str | None:
    """The jump host that is reached first."""
    return None if jump is None or jump == "none" else jump.split(",")[0]
