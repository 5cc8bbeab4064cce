"""The stubs say what the native module has: names, parameters and defaults, and the types wherever Rust tells them.

``pyo3-introspection`` writes down what the types in Rust tell; the environment names the folder.
"""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest
from clusterops import (
    _clusterops,  # pyright: ignore[reportPrivateUsage]
)
from mypy import stubtest

STUBS = ast.parse((Path(_clusterops.__file__).parent / "_clusterops.pyi").read_text())

# What Rust's conversions ask for, in the words of the stubs.
ASKED = {"SupportsFloat | SupportsIndex": "float", "SupportsIndex": "int"}
# What says nothing; `object` is what operators take before they say that they do not know it.
UNKNOWN = {"Any", "Incomplete", "object"}
ALIASES = {
    node.target.id: node.value
    for node in STUBS.body
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
}


def members(annotation: ast.expr) -> list[ast.expr]:
    """What a union is of, each once; what is no union, itself."""
    match annotation:
        case ast.BinOp(left, ast.BitOr(), right):
            both = [*members(left), *members(right)]
            return list({ast.unparse(each): each for each in both}.values())
        case ast.Name(name) if name in ALIASES:
            return members(ALIASES[name])
        case ast.Constant(str(text)):
            return members(ast.parse(text, mode="eval").body)
        case _:
            return [annotation]


def words(annotation: ast.expr) -> tuple[str, list[ast.expr]]:
    """The name of a type, and what stands in its brackets."""
    match annotation:
        case ast.Subscript(ast.Name("SupportsGetItem"), ast.Tuple([_, item])):
            return "Sequence", [item]
        case ast.Subscript(ast.Name("Literal")):
            return "str", []
        case ast.Subscript(whole, ast.Tuple(parts)):
            return ast.unparse(whole), parts
        case ast.Subscript(whole, part):
            return ast.unparse(whole), [part]
        case _:
            name = ast.unparse(annotation)
            return "None" if name == "NoReturn" else name, []


def is_unknown(annotation: ast.expr) -> bool:
    return isinstance(annotation, ast.Name) and annotation.id in UNKNOWN


def agrees(stub: ast.expr, compiled: ast.expr) -> bool:
    """Whether an annotation says what Rust's type does; where that says nothing, anything is well."""
    for asked, name in ASKED.items():
        compiled = ast.parse(ast.unparse(compiled).replace(asked, name), mode="eval").body
    known, left = members(compiled), members(stub)
    # With something unknown in it, a union only tells what has to be there, too.
    is_whole = not any(map(is_unknown, known))
    for one in filter(lambda each: not is_unknown(each), known):
        if not (found := [other for other in left if agrees_alone(other, one)]):
            return any(map(is_unknown, left))
        left = [other for other in left if other not in found]
    return not is_whole or not left


def agrees_alone(stub: ast.expr, compiled: ast.expr) -> bool:
    (name, parts), (known, known_parts) = words(stub), words(compiled)
    # Without brackets nothing is known of what is in it.
    return name == known and (not known_parts or len(parts) == len(known_parts) and all(map(agrees, parts, known_parts)))


@pytest.mark.parametrize(
    ("stub", "compiled", "expected"),
    [
        ("int", "SupportsIndex", True),
        ("str", "int", False),
        ("str | None", "str", False),
        ("str", "str | None", False),
        ("None | str", "str | None", True),
        ("Sequence[str]", "SupportsGetItem[int, str]", True),
        ("Sequence[int]", "SupportsGetItem[int, str]", False),
        ("dict[str, int]", "dict[str, Any]", True),
        ("dict[str, int]", "dict", True),
        ("dict[str, int]", "dict[str, str]", False),
        ("datetime | None", "Any | None", True),
        ("datetime", "Any | None", False),
        ('Literal["a", "b"]', "str", True),
        ("_Span", "timedelta | float", True),
        ("_Span", "float", False),
    ],
)
def test_annotations_are_compared(stub: str, compiled: str, expected: bool) -> None:
    assert agrees(*(ast.parse(text, mode="eval").body for text in (stub, compiled))) is expected


def test_the_stubs_have_the_names_parameters_and_defaults_of_the_module(capsys: pytest.CaptureFixture[str]) -> None:
    status = stubtest.test_stubs(stubtest.parse_options(["clusterops._clusterops"]))
    assert status == 0, capsys.readouterr().out
    assert {name for name in vars(_clusterops) if not name.startswith("__")} == set(_clusterops.__all__)


Signature = dict[str, ast.expr | None]


def signature(node: ast.FunctionDef) -> Signature:
    """The annotations of a function by the names of its parameters, and of what it gives."""
    arguments = node.args
    parameters = [*arguments.posonlyargs, *arguments.args, arguments.vararg, *arguments.kwonlyargs]
    found: Signature = {each.arg: each.annotation for each in parameters if each is not None and each.arg != "self"}
    return found | {"return": node.returns}


def signatures(module: ast.Module) -> dict[str, Signature]:
    """The signatures of the functions and methods; those with overloads have no one signature."""
    found: dict[str, list[Signature]] = {}
    for owner, body in [("", module.body), *((f"{name}.", body) for name, body in classes(module).items())]:
        for node in body:
            # What an object is pickled as is nobody's to rely on.
            if isinstance(node, ast.FunctionDef) and node.name != "__reduce__":
                found.setdefault(owner + node.name, []).append(signature(node))
    return {name: alone[0] for name, alone in found.items() if len(alone) == 1}


def classes(module: ast.Module) -> dict[str, list[ast.stmt]]:
    return {node.name: node.body for node in module.body if isinstance(node, ast.ClassDef)}


def test_the_stubs_have_the_types_that_are_compiled() -> None:
    if not (folder := os.environ.get("CLUSTEROPS_STUBS")):
        reason = "CLUSTEROPS_STUBS names no folder; `tests/run python` makes it"
        if "CI" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    [file] = Path(folder).rglob("*.pyi")
    told, wrong, compared = signatures(STUBS), list[str](), 0
    for function, made in signatures(ast.parse(file.read_text())).items():
        for parameter, compiled in made.items():
            stub = told.get(function, {}).get(parameter)
            if compiled is None or stub is None or is_unknown(compiled):
                continue
            compared += 1
            if not agrees(stub, compiled):
                wrong.append(f"{function}, {parameter}: {ast.unparse(stub)}, and {ast.unparse(compiled)} in Rust")
    assert not wrong, "\n".join(wrong)
    # Most of them are told; fewer would say that what writes them down does so no longer.
    assert compared > 1000
