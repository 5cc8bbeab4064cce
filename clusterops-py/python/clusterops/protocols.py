"""What Python objects may implement; methods may be plain or ``async``, and what they raise reaches the caller."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ._clusterops import Target

__all__ = ["Credentials", "GroupSource", "Purpose"]


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a secret is asked for.

    Attributes
    ----------
    kind : str
        ``environment`` (a stage's ``secret_env``), ``passphrase`` (of a key file), ``password`` (of the login),
        ``run_as`` (for sudo, su or doas) or ``keyboard_interactive`` (one question of the server's).
    name : str or None
        The secret's name in the plan, the user to run as, or what the server calls its questions.
    file : str or None
        The key file.
    method : str or None
        ``sudo``, ``su`` or ``doas``.
    instruction, prompt : str or None
        What the server says before its questions, and the question.
    echo : bool
        Whether the answer may be shown while it is typed.
    """

    kind: str
    name: str | None = None
    file: str | None = None
    method: str | None = None
    instruction: str | None = None
    prompt: str | None = None
    echo: bool = False


class Credentials(Protocol):
    """Who is asked for secrets. An answer goes to the host alone: it is never stored, logged or reported.

    Examples
    --------
    >>> class Vault:
    ...     async def secret(self, target, purpose):
    ...         return "hunter2" if purpose.name == "db" else None
    >>> fleet = Fleet("web[1-2]", credentials=Vault())
    """

    def secret(self, target: Target, purpose: Purpose, /) -> str | None | Awaitable[str | None]:
        """The secret, or None where it is not known. What this raises ends the run, and is raised to who waits for it."""
        ...


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
