"""Logs: a small server that answers as it is told, and real clusters where there are some."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clusterops as co
import pytest
from clusterops.logs import (
    Aggregation,
    Bulk,
    BulkItem,
    Client,
    Export,
    ExportMerge,
    ExportPages,
    ExportProgress,
    Fields,
    Look,
    Query,
    Renderer,
    Tail,
    TailEvent,
    TailMerge,
    Validation,
)
from log_stand_in import Answering

WHEN = datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.UTC)


def page(*sources: Any, failed: int = 0) -> dict[str, Any]:
    hits = [{"_index": "logs", "_id": str(place), "_source": source} for place, source in enumerate(sources)]
    return {
        "took": 3,
        "timed_out": False,
        "_shards": {"total": 2, "successful": 2 - failed, "failed": failed},
        "hits": {"total": {"value": len(hits), "relation": "eq"}, "hits": hits},
    }


def test_a_search_asks_and_gives_hits(answering: Answering) -> None:
    answering.answers = [(200, page({"message": "up", "level": "info"}, {"message": "down"}))]
    client = Client(answering.url, authorization=("ApiKey", "abc"))
    found = client.search(
        "logs-*", Query.term("level", "info"), size=2, sort=[{"@timestamp": "desc"}], source=["message"],
        track_total_hits=True, aggregations={"hosts": Aggregation.terms("host")}, body={"highlight": {"fields": {"*": {}}}},
    )  # fmt: skip
    assert answering.authorization == "ApiKey abc" and "abc" not in repr(client)
    path, body = answering.asked[0]
    assert urllib.parse.unquote(path).split("?")[0] == "/logs-*/_search"
    assert body == {
        "query": {"term": {"level": {"value": "info"}}},
        "size": 2,
        "sort": [{"@timestamp": "desc"}],
        "_source": ["message"],
        "track_total_hits": True,
        "aggs": {"hosts": {"terms": {"field": "host"}}},
        "highlight": {"fields": {"*": {}}},
    }
    assert len(found) == found.total == 2 and not found.total_is_lower_bound and found.shortfall is None
    assert [hit.source for hit in found.hits] == [{"message": "up", "level": "info"}, {"message": "down"}]
    assert (found[-1].id, found[0].index) == ("1", "logs") and found.took == datetime.timedelta(milliseconds=3)
    with pytest.raises(IndexError):
        found[2]
    with pytest.raises(IndexError):
        found[-3]
    assert Renderer().render(found[0], cluster="eu") == "[eu] INFO up"
    assert json.loads(Renderer("json").render(found[1]))["_source"] == {"message": "down"}
    assert Renderer(template="{{level}}: {{message}}").render(found[0]) == "INFO: up"
    with pytest.raises(co.InvalidError):
        Renderer(time_zone="Nowhere/Town")


FIELD_CAPS = {
    "indices": ["logs"],
    "fields": {
        "level": {"keyword": {"type": "keyword", "searchable": True, "aggregatable": True}},
        "@timestamp": {"date": {"type": "date", "searchable": True, "aggregatable": True}},
    },
}


def test_kql_knows_fields_and_a_time_zone(answering: Answering) -> None:
    answering.answers = [(200, FIELD_CAPS)] * 2
    client = Client(answering.url)
    fields = client.fields("logs-*")
    assert fields.names == ["@timestamp", "level"] and len(fields) == 2 and fields["level"] == ["keyword"]
    assert "level" in fields and "host" not in fields and repr(fields) == "<Fields: 2>"
    with pytest.raises(KeyError):
        fields["host"]
    path, query = answering.asked[0][0].split("?", 1)
    assert urllib.parse.unquote(path) == "/logs-*/_field_caps" and "fields=%2A" in query or "fields=*" in query

    async def awaited() -> Fields:
        return await client.afields("logs-*", ["lev*", "@timestamp"])

    assert asyncio.run(awaited()) == fields and "lev" in answering.asked[1][0]
    found = Query.kql("level: error", fields=fields, case_insensitive=True).to_dict()
    assert found["bool"]["should"] == [{"term": {"level": {"value": "error", "case_insensitive": True}}}]
    found = Query.kql("@timestamp < 2024-05-01", fields=fields, time_zone="Europe/Berlin").to_dict()
    assert found["bool"]["should"] == [{"range": {"@timestamp": {"lt": "2024-05-01", "time_zone": "Europe/Berlin"}}}]
    with pytest.raises(co.InvalidError, match="fields"):
        Fields.from_dict({"fields": 7})


def test_a_query_is_validated(answering: Answering) -> None:
    shards = {"total": 1, "successful": 1, "failed": 0}
    explained = {"index": "logs", "valid": True, "explanation": "level:error"}
    refused = {"index": "logs", "valid": False, "error": "no such thing"}
    answering.answers = [
        (200, {"valid": True, "_shards": shards, "explanations": [explained]}),
        (200, {"valid": False, "_shards": shards, "explanations": [refused], "error": "not at all"}),
    ]
    client = Client(answering.url)
    validation = client.validate("logs", Query.term("level", "error"))
    assert validation and validation.is_valid and validation.explanations == [("logs", "level:error")]

    async def awaited() -> Validation:
        return await client.avalidate("logs", {"term": {"level": "error"}})

    validation = asyncio.run(awaited())
    assert not validation and validation.error == "not at all" and validation.explanations == [("logs", "no such thing")]
    assert repr(validation) == "<Validation: not accepted>"


def test_a_bulk_is_written_at_once(answering: Answering) -> None:
    done = {"index": {"_index": "logs", "_id": "1", "_version": 1, "_seq_no": 4, "status": 201}}
    reason = {"type": "version_conflict_engine_exception", "reason": "is there already"}
    failed = {"create": {"_index": "logs", "_id": "2", "status": 409, "error": reason}}
    answering.answers = [
        (200, {"errors": False, "items": [done]}),
        (200, {"errors": True, "items": [done, failed]}),
        (200, {"errors": True, "items": [done, failed]}),
    ]
    client = Client(answering.url)
    bulk = Bulk().index("logs", {"message": "up"}, id="1")
    [item] = client.bulk(bulk)
    assert (item.index, item.id, item.version, item.seq_no, item.status, item.error) == ("logs", "1", 1, 4, 201, None)
    assert answering.asked[0][1] == [{"index": {"_index": "logs", "_id": "1"}}, {"message": "up"}]
    bulk.create("logs", {"message": "down"}, id="2").delete("logs", "3")
    assert len(bulk) == 3 and bulk.bytes > 100 and repr(bulk) == "<Bulk of 3>"
    with pytest.raises(co.ServerError, match="1 of 2 documents") as raised:
        client.bulk(bulk)
    assert raised.value.kind == "partial" and "is there already" in str(raised.value)

    async def awaited() -> list[BulkItem]:
        assert await client.abulk(Bulk()) == []
        return await client.abulk(bulk, partial=True)

    items = asyncio.run(awaited())
    assert items[0].error is None and "is there already" in str(items[1].error)
    assert [line for line in answering.asked[-1][1] if "delete" in line] == [{"delete": {"_index": "logs", "_id": "3"}}]
    with pytest.raises(TypeError):
        bulk.index("logs", object())  # type: ignore[arg-type]  # pyright: ignore
    assert len(bulk) == 3


def test_an_answer_that_lacks_something_is_an_error(answering: Answering) -> None:
    client = Client(answering.url)
    answering.answers = [(200, page({"message": "up"}, failed=1))] * 2
    with pytest.raises(co.ServerError) as raised:
        client.search("logs", Query.match_all())
    assert raised.value.kind == "partial"
    found = client.search("logs", Query.match_all(), partial=True)
    assert len(found) == 1 and isinstance(found.shortfall, co.ServerError)


@pytest.mark.parametrize(
    ("status", "type_", "class_"),
    [
        (400, "parsing_exception", co.InvalidError),
        (401, "security_exception", PermissionError),
        (403, "security_exception", PermissionError),
        (404, "index_not_found_exception", KeyError),
        (500, "runtime_exception", co.ServerError),
    ],
)
def test_errors_are_exceptions(answering: Answering, status: int, type_: str, class_: type[Exception]) -> None:
    reason = {"type": type_, "reason": "no"}
    answering.answers = [(status, {"error": {**reason, "root_cause": [reason]}, "status": status})] * 2
    client = Client(answering.url, attempts=1)
    with pytest.raises(class_):
        client.search("logs", Query.match_all())

    async def awaited() -> None:
        await client.asearch("logs", Query.match_all())

    with pytest.raises(class_):
        asyncio.run(awaited())


def test_what_is_wrong_with_a_client_or_a_search_is_said_at_once(answering: Answering) -> None:
    with pytest.raises(ConnectionError):
        # Nobody listens there.
        Client("http://127.0.0.1:1", attempts=1).count("logs", Query.match_all())
    for nodes in ([], ["no url"]):
        with pytest.raises(co.InvalidError):
            Client(nodes)
    with pytest.raises(TypeError, match="go together"):
        Client(answering.url, product="opensearch")
    known = Client(answering.url, product="opensearch", version=(2, 19, 1)).server()
    assert (known.product, known.version, str(known)) == ("opensearch", (2, 19, 1), "OpenSearch 2.19.1")
    client = Client(answering.url)
    with pytest.raises(co.InvalidError, match="names no index"):
        client.search("logs-*,,app", Query.match_all())
    search: Callable[..., Any] = client.search
    with pytest.raises(TypeError, match="sise: a search has no such option"):
        search("logs", Query.match_all(), sise=3)
    with pytest.raises(co.InvalidError, match="now"):
        Tail(client, "logs", Query.match_all(), since="yesterday")
    with pytest.raises(co.InvalidError, match="no token"):
        Tail(client, "logs", Query.match_all(), token="{}")
    with pytest.raises(co.InvalidError, match="do not go together"):
        Export(client, "logs", Query.match_all(), oldest_first="a", newest_first="b")
    with pytest.raises(co.InvalidError, match="a format is"):
        Export(client, "logs", Query.match_all()).to_file("x", format="csv")
    assert not answering.asked


def servers() -> list[str]:
    """The clusters that `tests/log-servers` runs, by one of their nodes each."""
    listed = os.environ.get("CLUSTEROPS_LOGS_SERVERS", "").split()
    return [entry.split("=", 1)[1].split(",")[0] for entry in listed]


@pytest.fixture(params=servers() or [""])
def index(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The URL of a cluster, and an index of the test's own there."""
    url: str = request.param
    if not url:
        pytest.skip("CLUSTEROPS_LOGS_SERVERS names no servers; `tests/log-servers` starts some")
    name = f"python-{uuid.uuid4()}"
    settings = {"settings": {"number_of_replicas": 0, "number_of_shards": 2}}
    call(url, "PUT", f"/{name}", settings)
    yield url, name
    call(url, "DELETE", f"/{name}")


def call(url: str, method: str, path: str, body: Any = None) -> None:
    content = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url + path, content, headers, method=method), timeout=30):
        pass


def write(url: str, index: str, numbers: range) -> None:
    for number in numbers:
        time = (WHEN + datetime.timedelta(minutes=number)).isoformat()
        document = {"@timestamp": time, "message": f"line {number}", "host": f"web-{number % 2}"}
        call(url, "PUT", f"/{index}/_doc/{number}?refresh=true", document)


def test_a_real_cluster_is_searched_and_looked_at(index: tuple[str, str]) -> None:
    url, name = index
    write(url, name, range(7))
    client = Client(url)
    assert client.server().product in ("opensearch", "elasticsearch")
    found = client.search(name, Query.kql('host: "web-0"'), sort=[{"@timestamp": "asc"}])
    assert [hit.id for hit in found.hits] == ["0", "2", "4", "6"]
    assert client.count(name, Query.match("message", "line")) == 7
    latest = {"latest": Aggregation.max("@timestamp")}
    hosts = Aggregation.terms("host.keyword", aggregations=latest)
    buckets = client.search(name, Query.match_all(), size=0, aggregations={"hosts": hosts}).aggregations["hosts"]["buckets"]
    assert [(bucket["key"], bucket["doc_count"]) for bucket in buckets] == [("web-0", 4), ("web-1", 3)]
    assert buckets[0]["latest"]["value"] == (WHEN + datetime.timedelta(minutes=6)).timestamp() * 1000
    look = Look(client, name, Query.match_all(), exclude=[Query.ids(["6"])])
    assert look.count() == 6
    histogram = look.histogram(interval=60)
    assert histogram.total == 6 and histogram.buckets[0][0] == WHEN.replace(second=0)
    assert len(look.histogram(3).buckets) <= 3 and str(histogram)
    top = look.top("host", 1)
    assert top.values == [("web-0", 3)] and top.other == 3
    with pytest.raises(co.NotFoundError):
        look.top("no_such_field")

    async def awaited() -> tuple[int, int]:
        histogram = await look.ahistogram()
        return await client.acount(name, Query.match_all()), histogram.total

    assert asyncio.run(awaited()) == (7, 6)


def test_a_line_has_a_context(index: tuple[str, str]) -> None:
    url, name = index
    client = Client(url)
    bulk = Bulk()
    for number in range(9):
        time = (WHEN + datetime.timedelta(seconds=number)).isoformat()
        document = {"@timestamp": time, "message": f"line {number}", "host": {"name": f"web-{number % 2}"}, "rack": "a"}
        bulk.index(name, document, id=str(number))
    assert len(client.bulk(bulk)) == 9
    client.refresh(name)
    look = Look(client, name, Query.match_phrase("message", "line 4"))
    [excerpt] = look.excerpts(before=1, after=5)
    assert excerpt.origin == {"host.name": "web-0"} and len(excerpt) == 4
    assert [(hit.id, found) for hit, found in excerpt.lines] == [("2", False), ("4", True), ("6", False), ("8", False)]
    around = look.around(name, "3", before=1, after=1, origin=["rack"])
    assert around.origin == {"rack": "a"} and [hit.id for hit, _ in around.lines] == ["2", "3", "4"]
    with pytest.raises(co.NotFoundError):
        look.around(name, "none")
    with pytest.raises(co.InvalidError, match="origin is"):
        look.excerpts(origin="hots")

    async def awaited() -> list[int]:
        excerpts = await look.aexcerpts(after=1)
        return [*map(len, excerpts), len(await look.aaround(name, "0", after=2))]

    assert asyncio.run(awaited()) == [2, 3]
    fields = client.fields(name)
    assert fields["@timestamp"] == ["date"] and "host.name" in fields
    query = Query.kql('@timestamp >= "2023-11-14T23:13:24" and rack: a', fields=fields, time_zone="+01:00")
    # A text of which the servers have made a field for whole values too.
    assert client.validate(name, query) and client.count(name, query) == 5


def test_a_point_in_time_sees_what_was_there(index: tuple[str, str]) -> None:
    url, name = index
    client = Client(url)
    write(url, name, range(3))
    sort = [{"@timestamp": "asc"}]
    if client.server().product == "elasticsearch":
        # That of the tests is the distribution without them.
        with pytest.raises(co.InvalidError, match="has no points in time"):
            client.open_pit(name, 60)
        return
    with client.open_pit(name, 60) as pit:
        assert pit.keep_alive == datetime.timedelta(minutes=1) and pit.id and repr(pit) == "<Pit>"
        first = pit.search(Query.match_all(), size=2, sort=sort)
        write(url, name, range(3, 5))
        rest = pit.search(Query.match_all(), size=5, sort=sort, body={"search_after": first[-1].sort})
        assert [hit.id for hit in [*first.hits, *rest.hits]] == ["0", "1", "2"]
    assert client.count(name, Query.match_all()) == 5 and repr(pit) == "<Pit, closed>"
    with pytest.raises(co.InvalidError, match="is closed"):
        pit.search(Query.match_all())

    async def awaited() -> int:
        async with await client.aopen_pit(name, 60) as pit:
            return len(await pit.asearch(Query.match_all()))

    assert asyncio.run(awaited()) == 5


def test_tails_are_merged_in_one_order(index: tuple[str, str]) -> None:
    url, name = index
    write(url, name, range(6))
    client = Client(url)

    def tails() -> dict[str, Tail]:
        even, odd = Query.kql('host: "web-0"'), Query.kql('host: "web-1"')
        return {
            "even": Tail(client, name, even, since="start", pause=0.05),
            "odd": Tail(client, name, odd, since="start", pause=0.05),
        }

    async def follow() -> tuple[list[tuple[str, str]], dict[str, str]]:
        seen: list[tuple[str, str]] = []
        tokens: dict[str, str] = {}
        async for told in TailMerge(tails(), hold=2):
            if told.document is not None:
                assert told.kind == "document" and not told.late
                seen.append((told.source, told.document.hit.id))
            if told.token is not None:
                tokens[told.source] = told.token
            if len(seen) == 6 and len(tokens) == 2:
                return seen, tokens
        raise AssertionError("tails do not end")

    seen, tokens = asyncio.run(asyncio.wait_for(follow(), 60))
    assert [id for _, id in seen] == [str(number) for number in range(6)]
    assert {source for source, id in seen if int(id) % 2 == 0} == {"even"} and set(tokens) == {"even", "odd"}

    def in_order(merge: TailMerge) -> list[TailEvent]:
        told: list[TailEvent] = []
        while sum(event.document is not None for event in told) < 6:
            told.append(next(merge))
        return told

    assert sorted(event.document.hit.id for event in in_order(TailMerge(tails())) if event.document) == [*"012345"]


def test_a_tail_that_fails_does_not_stop_the_others(answering: Answering, index: tuple[str, str]) -> None:
    url, name = index
    write(url, name, range(2))
    reason = {"type": "security_exception", "reason": "no"}
    answering.answers = [(401, {"error": {**reason, "root_cause": [reason]}, "status": 401})] * 20
    broken = Client(answering.url, attempts=1, product="opensearch", version=(2, 19, 1))
    good = Client(url)
    merge = TailMerge(
        {
            "bad": Tail(broken, "logs", Query.match_all(), since="start"),
            "good": Tail(good, name, Query.match_all(), since="start", pause=0.05),
        }
    )
    kinds: dict[str, set[str]] = {"bad": set(), "good": set()}
    for told in merge:
        kinds[told.source].add(told.kind)
        if told.error is not None:
            assert isinstance(told.error, PermissionError) and told.source == "bad"
        if "document" in kinds["good"] and "failed" in kinds["bad"]:
            break
    assert repr(merge) == "<TailMerge of bad, good>"


def test_a_tail_loses_and_repeats_nothing(index: tuple[str, str]) -> None:
    url, name = index
    client = Client(url)
    write(url, name, range(3))

    def follow(tail: Tail, wanted: int) -> tuple[list[str], str]:
        seen: list[str] = []
        for batch in tail:
            seen += [document.hit.id for document in batch.documents]
            if len(seen) >= wanted:
                return sorted(seen), batch.token
        raise AssertionError("a tail does not end")

    seen, token = follow(Tail(client, name, Query.match_all(), since="start", pause=0.05), 3)
    assert seen == ["0", "1", "2"]
    write(url, name, range(3, 6))

    async def go_on() -> tuple[list[str], str]:
        seen: list[str] = []
        async for batch in Tail(client, name, Query.match_all(), token=token, pause=0.05):
            assert all(document.time and not document.late for document in batch.documents)
            seen += [document.hit.id for document in batch.documents]
            if len(seen) >= 3:
                return sorted(seen), batch.token
        raise AssertionError("a tail does not end")

    seen, token = asyncio.run(asyncio.wait_for(go_on(), 60))
    assert seen == ["3", "4", "5"]
    with pytest.raises(co.InvalidError, match="another query"):
        Tail(client, name, Query.exists("x"), token=token)
    by_time = Tail(client, name, Query.match_all(), since=WHEN + datetime.timedelta(minutes=4), by_time=True)
    batch = next(by_time)
    assert [notice.kind for notice in batch.notices] == ["by_time"]


def test_an_export_is_whole_and_goes_on(index: tuple[str, str], tmp_path: Path) -> None:
    url, name = index
    write(url, name, range(7))
    export = Export(Client(url), name, Query.match_all(), page_size=2, oldest_first="@timestamp")
    pages = export.pages()
    first = next(pages)
    rest = [hit.id for page in export.pages(first.token) for hit in page.hits]
    assert pages.total == 7 and [hit.id for hit in first.hits] + rest == [str(number) for number in range(7)]

    async def awaited() -> list[str]:
        return [hit.id async for page in await export.apages() for hit in page.hits]

    assert asyncio.run(awaited()) == [str(number) for number in range(7)]

    def stop(progress: ExportProgress) -> None:
        if progress.done >= 4:
            raise KeyboardInterrupt

    path = tmp_path / "logs.ndjson"
    with pytest.raises(KeyboardInterrupt):
        export.to_file(path, progress=stop)
    told: list[int] = []
    summary = export.to_file(path, progress=lambda progress: told.append(progress.done))
    assert summary.is_whole and summary.documents == 7 and told[-1] == 7
    lines = [json.loads(line)["message"] for line in path.read_text().splitlines()]
    assert lines == [f"line {number}" for number in range(7)]
    with pytest.raises(co.InvalidError):
        export.to_file(path)
    table, awaited_of = tmp_path / "logs.csv", list[int]()

    async def note(progress: ExportProgress) -> None:
        await asyncio.sleep(0)
        awaited_of.append(progress.done)

    async def write_table() -> None:
        await export.ato_file(table, format="csv", columns=["_id", "host"], progress=note)
        export.to_file(tmp_path / "again.csv", format="csv", columns=["_id"], progress=note)

    asyncio.run(write_table())
    assert table.read_text().splitlines()[:2] == ["_id,host", "0,web-0"] and awaited_of.count(7) >= 2


def test_exports_are_merged_in_one_order(index: tuple[str, str]) -> None:
    url, name = index
    write(url, name, range(7))
    client = Client(url)

    def pages(host: str) -> ExportPages:
        query = Query.kql(f'host: "{host}"')
        return Export(client, name, query, page_size=2, oldest_first="@timestamp").pages()

    merge = ExportMerge({"even": pages("web-0"), "odd": pages("web-1")})
    assert repr(merge) == "<ExportMerge of even, odd>"
    told = [next(merge)]
    told += list(merge)
    assert [hit.id for _, hit in told] == [str(number) for number in range(7)]
    assert {source for source, hit in told if int(hit.id) % 2} == {"odd"} and list(merge) == []

    async def awaited() -> list[str]:
        return [hit.id async for _, hit in ExportMerge({"even": pages("web-0"), "odd": pages("web-1")})]

    assert asyncio.run(awaited()) == [str(number) for number in range(7)]
