"""What can go wrong.

What goes wrong on hosts, servers and files is a `ClusterOpsError`. Most have a built-in base too, so that both of these work::

    except clusterops.DeadlineError: ...
    except TimeoutError: ...

Other exceptions are those of Python: `TypeError`, `ValueError` and `KeyError` for arguments of the wrong kind and names that are
not in a mapping, and whatever objects of the caller's raise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clusterops import Output

__all__ = [
    "CancelledError",
    "ClusterOpsError",
    "CommandError",
    "DeadlineError",
    "DeniedError",
    "InvalidError",
    "LocalError",
    "NotFoundError",
    "ServerError",
    "TransferError",
    "UnreachableError",
]


class ClusterOpsError(Exception):
    """An error of clusterops: one sentence, and what a script wants to know about it.

    Attributes
    ----------
    host : str or None
        The host it is about.
    stage : str or None
        The stage of a plan it is about.
    kind : str
        What kind of thing went wrong, in a word, such as ``host_key``; finer than the class.
    retryable : bool
        Whether the same call can succeed later without anybody changing anything.
    output : Output or None
        What a command of a `Session` wrote that did not come to its end.
    """

    def __init__(
        self,
        message: str = "",
        *,
        host: str | None = None,
        stage: str | None = None,
        kind: str = "other",
        retryable: bool = False,
        output: Output | None = None,
    ) -> None:
        super().__init__(message)
        self.host = host
        self.stage = stage
        self.kind = kind
        self.retryable = retryable
        self.output = output

    def __str__(self) -> str:
        # That of KeyError would be quoted.
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        details = {name: getattr(self, name) for name in ("host", "stage", "kind", "retryable", "output")}
        return _restore, (type(self), str(self), details)


def _restore(cls: type[ClusterOpsError], message: str, details: dict[str, Any]) -> ClusterOpsError:
    return cls(message, **details)


class InvalidError(ClusterOpsError, ValueError):
    """What was given does not fit: an expression, an inventory, a plan, an option."""


class NotFoundError(ClusterOpsError, KeyError):
    """A group, a host, a secret or a document that nobody has."""


class UnreachableError(ClusterOpsError, ConnectionError):
    """There is no connection, it was lost, or the two sides do not understand each other."""


class DeadlineError(ClusterOpsError, TimeoutError):
    """A deadline passed."""


class DeniedError(ClusterOpsError, PermissionError):
    """Somebody is not who or what they should be: a login, a host key, a recipient, a signature."""


class LocalError(ClusterOpsError, OSError):
    """A file, a folder or a setting of this machine is not usable."""


class CommandError(ClusterOpsError):
    """A command on a host failed."""


class TransferError(ClusterOpsError):
    """A file could not be sent or fetched."""


class CancelledError(ClusterOpsError):
    """Somebody ended the run, or it did not let this host go on."""


class ServerError(ClusterOpsError):
    """A server, or a source of groups, could not answer."""
