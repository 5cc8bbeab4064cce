"""The files that a plan sends, on their way to the workers: by digest, in pieces."""

from __future__ import annotations

import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from .._clusterops import Fleet, Plan
from ..errors import TransferError

__all__ = ["Item", "Piece", "items", "missing", "pieces", "receive"]

PIECE = 4 << 20


@dataclass(frozen=True, slots=True)
class Item:
    """A file, or a folder as one archive.

    Attributes
    ----------
    path : str
        What the plan calls it.
    digest : str
        The SHA-256 that the run's report has of it.
    mode, modified : int
        A file's permissions, and when it was modified, in nanoseconds.
    is_folder : bool
    """

    path: str
    digest: str
    mode: int
    modified: int
    is_folder: bool

    @property
    def name(self) -> str:
        """What it is called on a worker's machine: the same for what is the same."""
        return self.digest if self.is_folder else f"{self.digest}-{self.mode:o}-{self.modified}"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of an item's bytes, which no log shows."""

    content: bytes = field(repr=False)
    offset: int
    is_last: bool


def items(digests: Mapping[str, str]) -> list[Item]:
    """The files and folders with these digests, by path."""
    found: list[Item] = []
    for path, digest in digests.items():
        facts = os.stat(path)
        is_folder = stat.S_ISDIR(facts.st_mode)
        found.append(Item(path, digest, stat.S_IMODE(facts.st_mode), facts.st_mtime_ns, is_folder))
    return found


def pieces(item: Item) -> Iterator[Piece]:
    """An item's bytes."""
    if not item.is_folder:
        with open(item.path, "rb") as file:
            yield from _cut(file)
        return
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
            archive.add(item.path, arcname=".")
        file.seek(0)
        yield from _cut(cast(BinaryIO, file))


def _cut(file: BinaryIO) -> Iterator[Piece]:
    offset, content = 0, file.read(PIECE)
    while True:
        following = file.read(PIECE)
        yield Piece(content, offset, is_last=not following)
        if not following:
            return
        offset, content = offset + len(content), following


def missing(folder: str, wanted: list[Item]) -> list[Item]:
    """Which of these are not in a worker's folder yet."""
    return [item for item in wanted if not (Path(folder) / item.name).exists()]


def receive(folder: str, item: Item, piece: Piece) -> None:
    """Takes a piece on a worker; with the last one, looks whether all of it is what it should be."""
    part = Path(folder) / f"{item.name}.part"
    with open(part, "r+b" if piece.offset else "wb") as file:
        file.seek(piece.offset)
        file.write(piece.content)
        file.truncate()
    if not piece.is_last:
        return
    whole = Path(folder) / f"{item.name}.new"
    if item.is_folder:
        whole.mkdir(mode=0o700, exist_ok=True)
        with tarfile.open(part) as archive:
            # It comes from the plan's own folder, all of whose modes count.
            archive.extractall(whole, filter="fully_trusted")
        part.unlink()
        os.chmod(whole, item.mode)
    else:
        part.rename(whole)
        os.chmod(whole, item.mode)
        os.utime(whole, ns=(item.modified, item.modified))
    if _digest(whole, item) != item.digest:
        raise TransferError(f"`{item.path}` did not come to the worker as it is: it may have changed since the run began")
    whole.rename(Path(folder) / item.name)


def _digest(place: Path, item: Item) -> str:
    """As a run would have it."""
    look = Plan("look")
    look = look.upload_tree("look", place, "/x") if item.is_folder else look.upload("look", place, "/x")
    return Fleet(["nobody"]).local_files(look)[str(place)]
