"""Host sets: sets in Python's manner."""

from __future__ import annotations

import pickle
from collections.abc import Set
from types import MappingProxyType

import clusterops as co
import pytest


def test_a_set_is_made_of_an_expression_names_or_another_set() -> None:
    web = co.HostSet("web[01-03]")
    assert web == co.HostSet(["web03", "web01", "web02"]) == co.HostSet(web) == co.HostSet(iter(web))
    assert co.HostSet(["a[1-2]"])[0] == "a[1-2]", "names are taken as they are"
    assert not co.HostSet() and len(co.HostSet()) == 0 and repr(co.HostSet()) == "HostSet()"
    assert isinstance(web, Set)


def test_operators_are_those_of_sets() -> None:
    a, b = co.HostSet("n[1-4]"), co.HostSet("n[3-6]")
    assert [str(a & b), str(a | b), str(a - b), str(a ^ b)] == ["n[3-4]", "n[1-6]", "n[1-2]", "n[1-2,5-6]"]
    assert a & {"n1", "x"} == co.HostSet("n1") and {"n9"} | a == co.HostSet("n[1-4,9]")
    assert frozenset({"n1", "z"}) - a == co.HostSet("z") and {"n1", "z"} ^ a == co.HostSet("n[2-4],z")
    assert a.union("n9", ["n7"]) == co.HostSet("n[1-4,7,9]") and a.intersection(b, "n3") == co.HostSet("n3")
    assert a.difference("n1", "n2") == co.HostSet("n[3-4]")
    assert a.symmetric_difference(b) == a ^ b
    with pytest.raises(TypeError):
        a & "n1"  # type: ignore[operator]  # pyright: ignore
    with pytest.raises(TypeError):
        a | 3  # type: ignore[operator]  # pyright: ignore


def test_comparisons_are_by_content() -> None:
    few, many = co.HostSet("n[1-2]"), co.HostSet("n[1-5]")
    assert few <= many and few < many and many >= few and many > few and few != many
    assert few <= few and not few < few and not many <= few
    assert few < {"n1", "n2", "n3"} and few.issubset("n[1-2]") and many.issuperset(["n5"])
    assert few.isdisjoint("n9") and not few.isdisjoint(many)
    assert few != "n[1-2]"
    with pytest.raises(TypeError):
        few < 1  # type: ignore[operator]  # pyright: ignore


def test_positions_count_in_natural_order() -> None:
    nodes = co.HostSet("n[8-10],db")
    assert list(nodes) == ["db", "n8", "n9", "n10"] == list(reversed(list(reversed(list(nodes)))))
    assert nodes[0] == "db" and nodes[-1] == "n10" and nodes[1:3] == co.HostSet("n[8-9]")
    assert list(nodes[::2]) == ["db", "n9"] and nodes[::-1] == nodes and not nodes[3:1] and nodes[-2:] == co.HostSet("n[9-10]")
    for position in (4, -5):
        with pytest.raises(IndexError):
            nodes[position]
    assert "n8" in nodes and "n08" not in nodes and 8 not in nodes  # type: ignore[comparison-overlap]


def test_it_is_a_value() -> None:
    web = co.HostSet("web[1-50]!web49")
    assert str(web) == f"{web}" == "web[1-48,50]" and repr(web) == "HostSet('web[1-48,50]')"
    assert hash(web) == hash(co.HostSet(list(web))) and len({web, co.HostSet(list(web))}) == 1
    assert pickle.loads(pickle.dumps(web)) == web
    odd = co.HostSet(["a[1]", "b,c", "x y"])
    assert pickle.loads(pickle.dumps(odd)) == odd
    with pytest.raises(AttributeError):
        web.name = "x"  # type: ignore[attr-defined]  # pyright: ignore


def test_what_is_larger_than_the_limit_is_pickled_too() -> None:
    large = co.HostSet.parse("n[1-1000001]", limit=2_000_000)
    assert len(pickle.loads(pickle.dumps(large))) == 1_000_001
    with pytest.raises(co.InvalidError) as raised:
        co.HostSet("n[1-1000001]")
    assert raised.value.kind == "too_large"


def test_parts() -> None:
    assert [str(part) for part in co.HostSet("n[1-5]").split(2)] == ["n[1-3]", "n[4-5]"]
    assert [str(part) for part in co.HostSet("n[1-5]").chunks(2)] == ["n[1-2]", "n[3-4]", "n5"]


def test_operators_take_sets_of_any_class() -> None:
    web = co.HostSet("web[1-3]")
    names = dict.fromkeys(["web2", "web3", "db1"]).keys()
    assert web & names == co.HostSet("web[2-3]") and web | names == co.HostSet("db1,web[1-3]")
    assert web - names == co.HostSet("web1") and web > co.HostSet("web1") and not web <= names
    with pytest.raises(TypeError):
        web & ["web1"]  # type: ignore[operator]  # pyright: ignore


def test_targets_take_words_and_variables_of_any_class() -> None:
    target = co.Target("web1", tags=["a", "b"], groups=(name for name in ("g",)), variables=MappingProxyType({"z": "1"}))
    assert target.tags == {"a", "b"} and target.groups == {"g"} and target.variables == {"z": "1"}
    with pytest.raises(TypeError, match="not as one text"):
        co.Target("web1", tags="production")
