"""What Python objects may implement; methods may be plain or ``async``, and what they raise reaches the caller."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

__all__ = ["GroupSource"]


class GroupSource(Protocol):
    """Knows groups of hosts, for ``@name:group`` in a selection.

    It may also have ``all()`` (all hosts, as an expression, or None for the union of all groups) and ``reverse(host)``
    (the groups of a host, or None where only asking for every group tells).

    Examples
    --------
    >>> class Racks:
    ...     name = "rack"
    ...     def map(self, group):
    ...         return "web[1-2]" if group == "r1" else None
    ...     def list(self):
    ...         return ["r1"]
    >>> inventory = Inventory.parse("hosts: {'web[1-3]': {}}", "fleet.yaml", sources=[Racks()])
    >>> inventory.resolve("@rack:r1")
    HostSet('web[1-2]')
    """

    @property
    def name(self) -> str:
        """The name before the colon."""
        ...

    def map(self, group: str, /) -> str | None | Awaitable[str | None]:
        """The members of a group as an expression; None when there is no such group."""
        ...

    def list(self) -> list[str] | Awaitable[list[str]]:
        """The names of all groups."""
        ...
