"""The exceptions, and which kind of error is which."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import clusterops as co
import pytest
from clusterops import (
    _clusterops,  # pyright: ignore[reportPrivateUsage]
    errors,
)

ROOT = Path(__file__).parents[2]

SOURCES = {
    "core": "clusterops-core/src/error.rs",
    "ssh": "clusterops-ssh/src/error.rs",
    "secrets": "clusterops-secrets/src/error.rs",
    "logs": "clusterops-logs/src/error.rs",
    "facade": "src/error.rs",
}


def kinds(source: str) -> set[str]:
    """The variants of `ErrorKind` in a source."""
    text = re.sub(r"//.*|#\[.*?\]", "", (ROOT / source).read_text())
    found = re.search(r"pub enum ErrorKind \{(.*?)\n\}", text, re.DOTALL)
    assert found, source
    return set(re.findall(r"^    (\w+)", found[1], re.MULTILINE))


@pytest.mark.parametrize("crate", SOURCES)
def test_every_kind_is_mapped(crate: str) -> None:
    table = _clusterops._error_kinds()[crate]  # pyright: ignore[reportPrivateUsage]
    assert kinds(SOURCES[crate]) == set(table)
    if crate == "facade":
        return
    for variant, (word, name) in table.items():
        assert word == re.sub(r"(?<!^)(?=[A-Z])", "_", variant).lower()
        assert issubclass(getattr(errors, name), co.ClusterOpsError)


def test_a_crate_with_kinds_has_a_table() -> None:
    found = {str(path.relative_to(ROOT)) for path in [*ROOT.glob("*/src/**/*.rs"), *ROOT.glob("src/**/*.rs")] if "pub enum ErrorKind" in path.read_text()}
    assert found == set(SOURCES.values())


@pytest.mark.parametrize(
    ("ours", "builtin"),
    [
        (co.DeadlineError, TimeoutError),
        (co.UnreachableError, ConnectionError),
        (co.InvalidError, ValueError),
        (co.DeniedError, PermissionError),
        (co.NotFoundError, KeyError),
        (co.LocalError, OSError),
    ],
)
def test_most_have_a_builtin_base(ours: type[co.ClusterOpsError], builtin: type[Exception]) -> None:
    assert issubclass(ours, builtin) and issubclass(ours, co.ClusterOpsError)


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name.endswith("Error")])
def test_they_keep_what_they_know(name: str) -> None:
    error = getattr(errors, name)("web1: no answer", host="web1", stage="start", kind="timeout", retryable=True)
    again = pickle.loads(pickle.dumps(error))
    for one in (error, again):
        assert type(one).__name__ == name and str(one) == "web1: no answer"
        assert (one.host, one.stage, one.kind, one.retryable) == ("web1", "start", "timeout", True)
