"""What Python objects may implement; methods may be plain or ``async``, and what they raise reaches the caller.

Coroutines run in the event loop of who awaits the call, and in a loop of their own where a call blocks.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ._clusterops import Secret, Target

__all__ = ["Credentials", "GroupSource", "Identity", "Purpose"]


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

    def secret(
        self, target: Target, purpose: Purpose, /
    ) -> str | Secret | None | Awaitable[str | Secret | None]:
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


class Identity(Protocol):
    """Something that can use the private key of a recipient: an agent, a KMS, an HSM; a `clusterops.secrets.PrivateKey` is one.

    Examples
    --------
    >>> class Audited:
    ...     def __init__(self, key):
    ...         self.key, self.recipient, self.asked = key, key.recipient, 0
    ...     async def unwrap(self, encrypted_key):
    ...         self.asked += 1
    ...         return self.key.unwrap(encrypted_key)
    >>> from clusterops.secrets import PrivateKey, open, seal
    >>> audited = Audited(PrivateKey.generate(2048))
    >>> sealed = seal('{"id": "/shop", "env": {"DB": "ENC[db:hunter2]"}}', {"ops": audited.key.public_key})
    >>> open(sealed.text, [audited], id="/shop"), audited.asked
    (<Opened /env/DB>, 1)
    """

    @property
    def recipient(self) -> str:
        """Which recipient this is: the thumbprint of its public key."""
        ...

    def unwrap(self, encrypted_key: bytes, /) -> bytes | None | Awaitable[bytes | None]:
        """Decrypts a wrapped key with RSA-OAEP, SHA-256 for both hashes and no label; None when it does not decrypt.

        What this raises, as when the key cannot be used at all, is raised by the call that opens.
        """
        ...
