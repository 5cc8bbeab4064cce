"""The examples in docstrings, and the recipes of the README."""

from __future__ import annotations

import doctest
import inspect
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clusterops
import pytest
from clusterops import (
    _clusterops,  # pyright: ignore[reportPrivateUsage]
    distributed,
    deploy,
    errors,
    logs,
    options,
    protocols,
    secrets,
    testing,
)
from marathon_stand_in import StandInMarathon

README = Path(__file__).parents[1] / "README.md"


def documented() -> Iterator[tuple[str, str]]:
    """Everything with an example in its docstring."""
    modules = (clusterops, _clusterops, deploy, distributed, errors, logs, options, protocols, secrets, testing)
    for module in modules:
        yield module.__name__, module.__doc__ or ""
        for name, item in vars(module).items():
            if name not in module.__all__ or name.startswith("_"):
                continue
            yield name, item.__doc__ or ""
            if inspect.isclass(item) and str(item.__module__).startswith("clusterops"):
                for member, value in vars(item).items():
                    # The fields of a dataclass stand in its own text.
                    if not member.startswith("_") and (module is _clusterops or callable(value)):
                        yield f"{name}.{member}", value.__doc__ or ""


EXAMPLES = {name: text for name, text in documented() if ">>>" in text}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_examples_in_docstrings(name: str) -> None:
    names: dict[str, Any] = {name: getattr(clusterops, name) for name in clusterops.__all__}
    example = doctest.DocTestParser().get_doctest(EXAMPLES[name], names, name, None, None)
    told: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=told.append)
    assert not told, "".join(told)


def test_public_things_are_documented() -> None:
    missing = [name for name, text in documented() if not text]
    assert not missing


def recipes() -> Iterator[tuple[str, str]]:
    title = ""
    for found in re.finditer(r"^## ([^\n]*)$|^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL):
        if found[1]:
            title = found[1]
        else:
            yield title, found[2]


RECIPES = list(recipes())


def test_the_readme_has_recipes() -> None:
    assert len(RECIPES) == README.read_text().count("```python") > 0


def test_recipes_are_typed(tmp_path: Path) -> None:
    for number, (_, code) in enumerate(RECIPES):
        (tmp_path / f"recipe{number}.py").write_text(code)
    # Recipes run in environments without it too.
    import mypy.api

    # Not all of Dask is typed, nor are tests as users write them.
    told, trouble, status = mypy.api.run(["--allow-untyped-calls", "--allow-untyped-defs", str(tmp_path)])
    assert status == 0, told + trouble


@pytest.mark.parametrize(("title", "code"), RECIPES)
def test_recipes_run(
    title: str,
    code: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    simulated_fleet: Callable[..., Any],
    stand_in_marathon: StandInMarathon,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARATHON", stand_in_marathon.url)
    if 'environ["LOGS"]' in code:
        if not (servers := os.environ.get("CLUSTEROPS_LOGS_SERVERS", "").split()):
            pytest.skip("CLUSTEROPS_LOGS_SERVERS names no servers; `tests/log-servers` starts some")
        monkeypatch.setenv("LOGS", servers[0].split("=", 1)[1].split(",")[0])
    names: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(code, f"README: {title}", "exec"), names)
    for name, item in names.items():
        if name.startswith("test_"):
            item(simulated_fleet)
