"""Logs: queries and aggregations as JSON."""

from __future__ import annotations

import datetime
import ipaddress
import json
import pickle
from typing import Any

import clusterops as co
import pytest
from clusterops.logs import Aggregation, Query, escape_kql, escape_lucene

WHEN = datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.UTC)

# What the servers document for each.
QUERIES: list[tuple[Query, dict[str, Any]]] = [
    (Query.match_all(), {"match_all": {}}),
    (Query.match_none(), {"match_none": {}}),
    (Query.raw({"term": {"a": 1}}), {"term": {"a": 1}}),
    (Query.term("level", "error"), {"term": {"level": {"value": "error"}}}),
    (
        Query.term("level", "error", case_insensitive=True, boost=2, name="l"),
        {"term": {"level": {"value": "error", "case_insensitive": True, "boost": 2.0, "_name": "l"}}},
    ),
    (Query.term("status", 500), {"term": {"status": {"value": 500}}}),
    (Query.term("is_new", True), {"term": {"is_new": {"value": True}}}),
    (Query.term("ip", ipaddress.ip_address("10.0.0.1")), {"term": {"ip": {"value": "10.0.0.1"}}}),
    (Query.terms("level", ["error", "fatal"]), {"terms": {"level": ["error", "fatal"]}}),
    (Query.exists("error"), {"exists": {"field": "error"}}),
    (Query.prefix("host", "web"), {"prefix": {"host": {"value": "web"}}}),
    (Query.wildcard("host", "web-*"), {"wildcard": {"host": {"value": "web-*"}}}),
    (Query.regexp("host", "web-[0-9]+"), {"regexp": {"host": {"value": "web-[0-9]+"}}}),
    (Query.fuzzy("host", "wbe"), {"fuzzy": {"host": {"value": "wbe"}}}),
    (Query.ids(["1", "2"]), {"ids": {"values": ["1", "2"]}}),
    (
        Query.range("@timestamp", gte=WHEN, lt="now/d"),
        {"range": {"@timestamp": {"gte": "2023-11-14T22:13:20Z", "lt": "now/d"}}},
    ),
    (
        Query.range("day", gt=datetime.date(2024, 1, 2), time_zone="Europe/Berlin"),
        {"range": {"day": {"gt": "2024-01-02", "time_zone": "Europe/Berlin"}}},
    ),
    (Query.match("message", "refused"), {"match": {"message": "refused"}}),
    (
        Query.match("message", "connection refused", operator="and"),
        {"match": {"message": {"query": "connection refused", "operator": "and"}}},
    ),
    (
        Query.match_phrase("message", "not found", slop=2),
        {"match_phrase": {"message": {"query": "not found", "slop": 2}}},
    ),
    (Query.match_phrase_prefix("message", "not fo"), {"match_phrase_prefix": {"message": "not fo"}}),
    (
        Query.multi_match("refused", ["message", "error"], type="phrase"),
        {"multi_match": {"query": "refused", "fields": ["message", "error"], "type": "phrase"}},
    ),
    (
        Query.query_string("level:error AND took:>5", default_operator="and"),
        {"query_string": {"query": "level:error AND took:>5", "default_operator": "and"}},
    ),
    (
        Query.simple_query_string("refused | timeout", fields=["message"]),
        {"simple_query_string": {"query": "refused | timeout", "fields": ["message"]}},
    ),
    (
        Query.bool(
            must=[Query.match("message", "refused")],
            filter=[{"term": {"level": {"value": "error"}}}],
            should=[Query.exists("a"), Query.exists("b")],
            must_not=[Query.ids(["1"])],
            minimum_should_match=1,
        ),
        {
            "bool": {
                "must": [{"match": {"message": "refused"}}],
                "filter": [{"term": {"level": {"value": "error"}}}],
                "should": [{"exists": {"field": "a"}}, {"exists": {"field": "b"}}],
                "must_not": [{"ids": {"values": ["1"]}}],
                "minimum_should_match": 1,
            }
        },
    ),
    (Query.constant_score(Query.exists("a")), {"constant_score": {"filter": {"exists": {"field": "a"}}}}),
    (Query.nested("spans", Query.match_all()), {"nested": {"path": "spans", "query": {"match_all": {}}}}),
    (
        Query.kql("level: error"),
        {"bool": {"should": [{"match": {"level": "error"}}], "minimum_should_match": 1}},
    ),
]


@pytest.mark.parametrize(("query", "expected"), QUERIES)
def test_queries_are_the_json_that_servers_document(query: Query, expected: dict[str, Any]) -> None:
    assert query.to_dict() == expected == json.loads(query.to_json())
    assert pickle.loads(pickle.dumps(query)) == query


def test_what_no_server_takes_is_an_error_where_it_is_said() -> None:
    with pytest.raises(co.InvalidError, match="no date math"):
        Query.range("@timestamp", gte="now-15min")
    with pytest.raises(co.InvalidError, match="needs a bound"):
        Query.range("@timestamp")
    with pytest.raises(co.InvalidError, match="datetime with a time zone"):
        Query.range("@timestamp", gte=datetime.datetime(2024, 1, 1))
    with pytest.raises(co.InvalidError) as raised:
        Query.kql("level: (error")
    assert raised.value.kind == "syntax"
    with pytest.raises(co.InvalidError):
        Query.match("message", "x", minimum_should_match="many")
    with pytest.raises(ValueError, match="boost"):
        Query.term("a", 1, boost=-1)
    with pytest.raises(TypeError, match="a Query or its JSON"):
        Query.constant_score("level: error")  # type: ignore[arg-type]  # pyright: ignore
    assert escape_kql("10:30 (max)") == r"10\:30 \(max\)" and escape_lucene("a:b") == r"a\:b"


# What the servers document for each.
AGGREGATIONS: list[tuple[Aggregation, dict[str, Any]]] = [
    (Aggregation.terms("host", size=5), {"terms": {"field": "host", "size": 5}}),
    (
        Aggregation.terms("host", aggregations={"slow": Aggregation.max("took"), "raw": {"min": {"field": "took"}}}),
        {"terms": {"field": "host"}, "aggs": {"slow": {"max": {"field": "took"}}, "raw": {"min": {"field": "took"}}}},
    ),
    (Aggregation.histogram("took", 50, offset=5), {"histogram": {"field": "took", "interval": 50.0, "offset": 5}}),
    (
        Aggregation.date_histogram("@timestamp", "day", time_zone="Europe/Berlin"),
        {"date_histogram": {"field": "@timestamp", "calendar_interval": "day", "time_zone": "Europe/Berlin"}},
    ),
    (
        Aggregation.date_histogram("@timestamp", datetime.timedelta(seconds=30)),
        {"date_histogram": {"field": "@timestamp", "fixed_interval": "30s"}},
    ),
    (
        Aggregation.range("took", [(None, 10), (10, 20.5), (20.5, None)]),
        {"range": {"field": "took", "ranges": [{"to": 10}, {"from": 10, "to": 20.5}, {"from": 20.5}]}},
    ),
    (
        Aggregation.date_range("@timestamp", [("now-1d/d", WHEN)]),
        {"date_range": {"field": "@timestamp", "ranges": [{"from": "now-1d/d", "to": "2023-11-14T22:13:20Z"}]}},
    ),
    (
        Aggregation.filters({"bad": Query.term("level", "error"), "all": {"match_all": {}}}),
        {"filters": {"filters": {"bad": {"term": {"level": {"value": "error"}}}, "all": {"match_all": {}}}}},
    ),
    (Aggregation.filter(Query.exists("a")), {"filter": {"exists": {"field": "a"}}}),
    (
        Aggregation.nested("tags", aggregations={"n": Aggregation.value_count("tags.name")}),
        {"nested": {"path": "tags"}, "aggs": {"n": {"value_count": {"field": "tags.name"}}}},
    ),
    (Aggregation.missing("host"), {"missing": {"field": "host"}}),
    (Aggregation.avg("took", missing=0), {"avg": {"field": "took", "missing": 0}}),
    (Aggregation.sum("took"), {"sum": {"field": "took"}}),
    (Aggregation.stats("took"), {"stats": {"field": "took"}}),
    (Aggregation.cardinality("host"), {"cardinality": {"field": "host"}}),
    (Aggregation.percentiles("took", percents=[50, 99]), {"percentiles": {"field": "took", "percents": [50, 99]}}),
]


@pytest.mark.parametrize(("aggregation", "expected"), AGGREGATIONS)
def test_aggregations_are_the_json_that_servers_document(aggregation: Aggregation, expected: dict[str, Any]) -> None:
    assert aggregation.to_dict() == expected
    assert json.loads(repr(aggregation).removeprefix("<Aggregation ").removesuffix(">")) == expected


def test_aggregations_that_no_server_takes_are_errors_where_they_are_said() -> None:
    with pytest.raises(co.InvalidError, match="interval is 0, and must be above 0"):
        Aggregation.histogram("took", 0)
    with pytest.raises(co.InvalidError, match="an aggregation is named `a>b`"):
        Aggregation.terms("host", aggregations={"a>b": Aggregation.max("took")})
    with pytest.raises(co.InvalidError, match="not 'fortnight'"):
        Aggregation.date_histogram("@timestamp", "fortnight")
    with pytest.raises(ValueError, match="a start or an end"):
        Aggregation.range("took", [(None, None)])
    with pytest.raises(TypeError, match="an Aggregation or its JSON"):
        Aggregation.terms("host", aggregations={"x": "max"})  # type: ignore[dict-item]  # pyright: ignore
    assert Aggregation.max("a") == Aggregation.max("a") != Aggregation.max("b")
