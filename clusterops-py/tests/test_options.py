"""Keywords that are typed dictionaries: whatever their types promise is taken, and what they do not is refused by name."""

from __future__ import annotations

import collections.abc
import datetime
import itertools
import types
import typing
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import clusterops as co
import pytest
from clusterops import options
from clusterops.logs import Aggregation, Client, Query
from clusterops.secrets import Secret
from clusterops.testing import SimulatedFleet

NAMES = {"Aggregation": Aggregation, "RunAs": co.RunAs, "Secret": Secret, "Step": co.Step}
ALONE: dict[Any, Any] = {
    str: "a",
    int: 1,
    bool: True,
    float: 0.5,
    bytes: b"a",
    bytearray: bytearray(b"a"),
    type(None): None,
    Any: {"field": "a"},
    datetime.timedelta: datetime.timedelta(seconds=1),
    co.RunAs: co.RunAs(),
    co.Step: co.Step.shell("true"),
    Secret: Secret("a"),
    Aggregation: Aggregation.max("a"),
}


def samples(hint: Any) -> Iterator[Any]:
    """A value of each kind that a type allows, mappings and sequences of classes that are not the usual ones."""
    parts = typing.get_args(hint)
    match typing.get_origin(hint):
        case None:
            yield ALONE[hint]
        case types.UnionType | typing.Union:
            yield from itertools.chain.from_iterable(map(samples, parts))
        case collections.abc.Mapping:
            yield from (MappingProxyType({"A": value}) for value in samples(parts[1]))
        case collections.abc.Sequence:
            yield from ((value,) for value in samples(parts[0]))
        case origin if origin is collections.abc.Callable:  # pyright: ignore[reportUnknownMemberType]
            yield print
        case origin if origin is dict:
            yield from ({"a": value} for value in samples(parts[1]))
        case origin if origin is tuple:
            yield from itertools.product(*map(samples, parts))
        case _:
            # os.PathLike
            yield PurePosixPath("/a")


def each(keywords: Any) -> list[tuple[str, Any]]:
    hints = typing.get_type_hints(keywords, localns=NAMES)
    return [(name, value) for name, hint in hints.items() for value in samples(hint)]


def named(value: object) -> str:
    return value if isinstance(value, str) else type(value).__name__


@pytest.mark.parametrize(("name", "value"), each(options.StageOptions), ids=named)
def test_stages_take_what_their_types_say(name: str, value: object) -> None:
    keywords: dict[str, Any] = {name: value}
    assert co.Plan("p").upload("u", "a", "/a", **keywords).stages == ["u"]


@pytest.fixture(scope="module")
def session() -> Iterator[co.Session]:
    with SimulatedFleet("web1", answers={"true": ""}) as simulated, co.Session.connect(simulated.targets[0]) as session:
        yield session


@pytest.mark.parametrize(("name", "value"), each(options.CommandOptions), ids=named)
def test_commands_take_what_their_types_say(session: co.Session, name: str, value: object) -> None:
    keywords: dict[str, Any] = {name: value}
    # What comes of it is not asked here.
    with suppress(co.ClusterOpsError):
        session.run("true", **keywords)


@pytest.mark.parametrize(("name", "value"), each(options.TransferOptions), ids=named)
def test_transfers_take_what_their_types_say(session: co.Session, tmp_path: Path, name: str, value: object) -> None:
    (tmp_path / "file").write_bytes(b"")
    keywords: dict[str, Any] = {name: value}
    assert session.upload(tmp_path / "file", "/tmp/file", **keywords).files == 1


@pytest.mark.parametrize(("name", "value"), each(options.SearchOptions), ids=named)
def test_searches_take_what_their_types_say(name: str, value: object) -> None:
    keywords: dict[str, Any] = {name: value}
    client = Client("http://127.0.0.1:1", attempts=1, product="opensearch", version=(2, 19, 1))
    with pytest.raises(co.UnreachableError):
        client.search("logs", Query.match_all(), **keywords)


@pytest.mark.parametrize(("name", "value"), each(options.HttpOptions), ids=named)
def test_servers_take_what_their_types_say(name: str, value: object) -> None:
    make: Any = Client
    # `a` is no certificate.
    with suppress(co.InvalidError):
        make("http://127.0.0.1:1", **{name: value})
