"""The exports of several clusters in one order, which is that of what the servers sorted them by."""

from __future__ import annotations

import asyncio
from typing import Any

import clusterops as co
import pytest
from clusterops.logs import Client, Export, ExportMerge, ExportPages, Query
from log_stand_in import Answering, standing_in

VERSION = {"version": {"distribution": "opensearch", "number": "2.19.1"}}
WRONG = {"error": {"type": "illegal_argument_exception", "reason": "not today"}}
#: What documents without the field are sorted by.
NONE = 2**63 - 1


def found(*values: Any) -> dict[str, Any]:
    """The answer to a search whose hits were sorted by these. Their documents say nothing of times."""
    hits: list[dict[str, Any]] = [{"_index": "logs", "_id": str(value), "_source": {}, "sort": [value, 0, "logs"]} for value in values]
    total = {"value": len(hits), "relation": "eq"}
    return {
        "took": 1,
        "timed_out": False,
        "_shards": {"total": 1, "successful": 1, "failed": 0},
        "hits": {"total": total, "hits": hits},
    }


def pages(server: Answering, *answers: tuple[int, Any]) -> ExportPages:
    """An export by the field `when`, and what is answered when it asks for its pages."""
    caps: dict[str, Any] = {"indices": ["logs"], "fields": {}}
    # There are no points in time.
    server.answers = [(200, VERSION), (400, WRONG), (200, caps), (200, found(1, 2, 3)), *answers]
    return Export(Client(server.url), "logs", Query.match_all(), oldest_first="when").pages()


def test_the_order_is_that_of_what_the_servers_sort_by(answering: Answering) -> None:
    first, second, third = 1_700_000_000_000, 1_700_000_001_000_000_000, 1_700_000_002_000
    with standing_in() as other:
        # One of them keeps nanoseconds.
        clusters = {"a": pages(answering, (200, found(first, third, NONE))), "b": pages(other, (200, found(second)))}
        merged = [(name, hit.sort[0]) for name, hit in ExportMerge(clusters)]
    assert merged == [("a", first), ("b", second), ("a", third), ("a", NONE)]


def test_exports_in_another_order_are_refused(answering: Answering) -> None:
    answering.answers = [(200, VERSION), (400, WRONG), (200, found(1))]
    by_arrival = Export(Client(answering.url), "logs", Query.match_all()).pages()
    with pytest.raises(co.InvalidError, match="the export `eu` is not ordered by a date.*oldest_first"):
        ExportMerge({"eu": by_arrival})
    merge = ExportMerge({"eu": pages(answering, (200, found("error", "warning")))})
    with pytest.raises(co.InvalidError, match="the export `eu` is not ordered by a date.*oldest_first"):
        next(merge)


def test_what_nobody_has_heard_of_is_raised_by_the_merge(answering: Answering) -> None:
    exported = pages(answering, (400, WRONG), (200, found(1)))

    async def leave() -> None:
        # It has come, and is left where it is, as by a task that is cancelled at this moment.
        await asyncio.wait([next(exported.__anext__().__await__())])

    asyncio.run(leave())
    with pytest.raises(co.InvalidError, match="not today"):
        next(ExportMerge({"eu": exported}))
