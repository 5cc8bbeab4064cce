"""The keywords that a plan's stages take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from ._clusterops import RunAs, Step

__all__ = ["StageOptions"]


class StageOptions(TypedDict, total=False):
    """What a stage can be told, all of it optional.

    Attributes
    ----------
    deadline : timedelta or float or None
        How long it may take on a host; floats are seconds.
    env : mapping
        Variables of the environment.
    secret_env : mapping
        Variables whose values are secrets, by the names under which `Credentials` are asked for them.
    current_dir : str
        The working directory.
    run_as : RunAs or None
        As whom commands run.
    pty : bool
        Whether the command gets a terminal.
    success : sequence of int
        The exit statuses that are well; 0, where it is left out.
    creates : str
        The stage is skipped where this path exists.
    unless : sequence of str
        The stage is skipped where this command exits with status 0.
    run_once : bool
        Only the first host takes it, and the others wait.
    barrier : bool
        No host goes on before every host has come here.
    rollback : sequence of str or Step
        What undoes it.
    mode : int
        The permissions of a file that is sent.
    interpreter, arguments : sequence of str
        What runs a script, and what it is given.
    """

    deadline: timedelta | float | None
    env: Mapping[str, str]
    secret_env: Mapping[str, str]
    current_dir: str
    run_as: RunAs | None
    pty: bool
    success: Sequence[int]
    creates: str
    unless: Sequence[str]
    run_once: bool
    barrier: bool
    rollback: Sequence[str] | Step
    mode: int
    interpreter: Sequence[str]
    arguments: Sequence[str]
