"""The stubs say what the native module has: names, members, parameters and defaults, in both directions."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest
from clusterops import (
    _clusterops,  # pyright: ignore[reportPrivateUsage]
)

STUBS = ast.parse((Path(_clusterops.__file__).parent / "_clusterops.pyi").read_text())
CLASSES = {node.name: node for node in STUBS.body if isinstance(node, ast.ClassDef)}
FUNCTIONS = {node.name: node for node in STUBS.body if isinstance(node, ast.FunctionDef)}
# What every class has, whether or not it says so.
COMMON = {"__doc__", "__module__", "__repr__", "__str__", "__new__", "__slotnames__"}
# What Python derives from the comparisons that a class has.
COMPARISONS = {"__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"}

NONE = object()
# Name, kind, and default, or NONE.
Parameter = tuple[str, str, Any]


def told(node: ast.FunctionDef) -> list[Parameter]:
    """The parameters in the stubs, without the object or class."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [NONE] * (len(positional) - len(arguments.defaults)) + list(map(ast.literal_eval, arguments.defaults))
    found: list[Parameter] = [
        (argument.arg, "positional", default) for argument, default in zip(positional, defaults, strict=True)
    ]
    if found and found[0][0] in ("self", "cls"):
        found = found[1:]
    if arguments.vararg:
        found.append((arguments.vararg.arg, "*", NONE))
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append((argument.arg, "keyword", ast.literal_eval(default) if default else NONE))
    if arguments.kwarg:
        found.append((arguments.kwarg.arg, "**", NONE))
    return found


def real(item: Any) -> list[Parameter]:
    """The same of what the module has."""
    kinds = {
        inspect.Parameter.POSITIONAL_ONLY: "positional",
        inspect.Parameter.POSITIONAL_OR_KEYWORD: "positional",
        inspect.Parameter.VAR_POSITIONAL: "*",
        inspect.Parameter.KEYWORD_ONLY: "keyword",
        inspect.Parameter.VAR_KEYWORD: "**",
    }
    found: list[Parameter] = []
    for name, parameter in inspect.signature(item).parameters.items():
        default = NONE if parameter.default is parameter.empty else parameter.default
        found.append((name, kinds[parameter.kind], default))
    return found[1:] if found and found[0][0] in ("self", "cls") else found


def test_the_module_and_the_stubs_have_the_same_names() -> None:
    exported = {name for name in vars(_clusterops) if not name.startswith("__")}
    assert exported == set(CLASSES) | set(FUNCTIONS) == set(_clusterops.__all__)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_take_what_the_stubs_say(name: str) -> None:
    assert told(FUNCTIONS[name]) == real(getattr(_clusterops, name))


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_classes_have_what_the_stubs_say(name: str) -> None:
    members = {node.name: node for node in CLASSES[name].body if isinstance(node, ast.FunctionDef)}
    cls: type[Any] = getattr(_clusterops, name)
    # What has no hash says so with a None.
    own = {member for member, value in vars(cls).items() if value is not None} - COMMON - COMPARISONS
    assert own == set(members) - COMMON - COMPARISONS
    if "__new__" in members:
        assert told(members["__new__"]) == real(cls)
    for member, node in members.items():
        if member.startswith("__"):
            continue
        is_property = any(isinstance(item, ast.Name) and item.id == "property" for item in node.decorator_list)
        value = inspect.getattr_static(cls, member)
        assert is_property == inspect.isdatadescriptor(value), member
        if not is_property:
            assert told(node) == real(getattr(cls, member)), member
