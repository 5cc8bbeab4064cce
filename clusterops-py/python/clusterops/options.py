"""The keywords that stages, commands, transfers, HTTP servers and searches take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from os import PathLike
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from ._clusterops import Aggregation, RunAs, Secret, Step

__all__ = ["CommandOptions", "FileOptions", "HttpOptions", "SearchOptions", "StageOptions", "TransferOptions"]


class FileOptions(TypedDict, total=False):
    """How files are transferred, all of it optional.

    Attributes
    ----------
    mode : int or None
        The permissions of an uploaded file, in place of the local one's.
    modes : bool
        Whether permissions are kept; they are, where it is left out.
    times : bool
        Whether times of last change are kept.
    verify : bool
        Whether digests are compared before a file gets its name; they are, where it is left out.
    resume : bool
        Whether a transfer that was cut off is gone on with; it is, where it is left out.
    sync : bool
        Whether a file is on the disk before it gets its name; it is, where it is left out.
    """

    mode: int | None
    modes: bool
    times: bool
    verify: bool
    resume: bool
    sync: bool


class StageOptions(FileOptions, total=False):
    """What a stage can be told, all of it optional; one that transfers files can be told `FileOptions`, too.

    Attributes
    ----------
    deadline : timedelta or float or None
        How long it may take on a host; floats are seconds.
    env : mapping
        Variables of the environment.
    secret_env : mapping
        Variables whose values are secrets, by the names under which `Credentials` are asked for them.
    current_dir : str or os.PathLike
        The working directory.
    run_as : RunAs or None
        As whom commands run.
    pty : bool
        Whether the command gets a terminal.
    success : sequence of int
        The exit statuses that are well; 0, where it is left out.
    creates : str or os.PathLike
        The stage is skipped where this path exists.
    unless : sequence of str
        The stage is skipped where this command exits with status 0.
    run_once : bool
        Only the first host takes it, and the others wait.
    barrier : bool
        No host goes on before every host has come here.
    rollback : sequence of str or Step
        What undoes it.
    interpreter, arguments : sequence of str
        What runs a script, and what it is given.
    """

    deadline: timedelta | float | None
    env: Mapping[str, str]
    secret_env: Mapping[str, str]
    current_dir: str | PathLike[str]
    run_as: RunAs | None
    pty: bool
    success: Sequence[int]
    creates: str | PathLike[str]
    unless: Sequence[str]
    run_once: bool
    barrier: bool
    rollback: Sequence[str] | Step
    interpreter: Sequence[str]
    arguments: Sequence[str]


class CommandOptions(TypedDict, total=False):
    """What a command of a `Session` can be told, all of it optional.

    Attributes
    ----------
    env : mapping
        Variables of the environment.
    secret_env : mapping
        Variables with secret values (``str`` or `Secret`), which appear in no argument list, message or representation.
    current_dir : str or os.PathLike
        The working directory.
    stdin : bytes or str
        What the command reads; nothing, where it is left out.
    run_as : RunAs or None
        As whom it runs.
    run_as_password : str or Secret or None
        What sudo, su or doas are told when they ask.
    pty : bool or None
        Whether it gets a terminal; None is what OpenSSH's configuration says.
    deadline : timedelta or float or None
        How long it may take; floats are seconds.
    """

    env: Mapping[str, str]
    secret_env: Mapping[str, str | Secret]
    current_dir: str | PathLike[str]
    stdin: bytes | bytearray | str
    run_as: RunAs | None
    run_as_password: str | Secret | None
    pty: bool | None
    deadline: timedelta | float | None


class TransferOptions(FileOptions, total=False):
    """What a transfer of a `Session` can be told, all of it optional; `FileOptions`, too.

    Attributes
    ----------
    bandwidth : int or None
        Bytes per second.
    deadline : timedelta or float or None
        How long it may take; floats are seconds.
    progress : callable or None
        Called with the bytes that are over and those of all files as far as they are known, some times a second and at
        the end, in a thread of its own. It may be ``async``. What it raises ends the transfer, and is raised.
    """

    bandwidth: int | None
    deadline: timedelta | float | None
    progress: Callable[[int, int], object] | None


class HttpOptions(TypedDict, total=False):
    """How an HTTP server is spoken to, all of it optional. Of the credentials the last one counts.

    Attributes
    ----------
    basic : tuple
        A name and a password.
    bearer : str or Secret
        A bearer token.
    dcos_token : str or Secret
        A token as DC/OS wants it.
    authorization : tuple
        A scheme and a secret, such as ``("ApiKey", "...")``.
    api_key : tuple
        The name of a header and the key that it carries.
    authority : str
        Certificates (PEM) that are trusted in place of the system's.
    client_certificate : tuple
        A certificate of our own with its chain, and its key, both in PEM.
    connect_deadline, deadline, attempt_deadline : timedelta or float
        For connecting, for a call with all its repeats, and for one attempt; floats are seconds.
    gzip : bool
        Whether compressed answers are asked for.
    attempts : int
        How many times a call is tried that may be repeated.
    body_limit : int
        How many bytes of an answer are read.
    danger_plain_http : bool
        Lets credentials and bodies travel readable over the network.
    environment_proxies : bool
        Whether the proxies of the environment are used.
    """

    basic: tuple[str, str | Secret]
    bearer: str | Secret
    dcos_token: str | Secret
    authorization: tuple[str, str | Secret]
    api_key: tuple[str, str | Secret]
    authority: str
    client_certificate: tuple[str, str | Secret]
    connect_deadline: timedelta | float
    deadline: timedelta | float
    attempt_deadline: timedelta | float
    gzip: bool
    attempts: int
    body_limit: int
    danger_plain_http: bool
    environment_proxies: bool


class SearchOptions(TypedDict, total=False):
    """What of its hits a search gives, all of it optional.

    Attributes
    ----------
    size : int
        How many hits at most.
    sort : sequence
        What to order by, as the servers take it: ``[{"@timestamp": "desc"}]``.
    source : bool or str or sequence of str or mapping
        What of the documents to give, as ``_source`` takes it.
    track_total_hits : bool or int
        Whether matches are counted: all of them, or up to so many.
    aggregations : mapping
        What is worked out over all that matches, by the names that `Page.aggregations` has then.
    body : dict
        Other members of the body in the server's own words: ``{"highlight": {...}}``.
    """

    size: int
    sort: Sequence[str | Mapping[str, Any]]
    source: bool | str | Sequence[str] | Mapping[str, Any]
    track_total_hits: bool | int
    aggregations: Mapping[str, Aggregation | dict[str, Any]]
    body: dict[str, Any]
