"""Which error texts the program has: read from its source, so that none can be forgotten."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from portmapper import errors
from tests.docs.blocks import ROOT

_ERRORS = {name for name, item in vars(errors).items() if isinstance(item, type) and issubclass(item, Exception)}
_USAGE = {"UsageError", "ClickException", "BadParameter"}

Found = dict[str, list[str]]


@cache
def templates() -> Found:
    """Return the texts that errors are made with, "{}" for what differs, and where each is."""
    found: Found = {}
    for path in sorted((ROOT / "portmapper").rglob("*.py")):
        if "testing" not in path.parts:
            for text, line in _texts(path):
                found.setdefault(text, []).append(f"{path.relative_to(ROOT)}:{line}")
    return found


def _texts(path: Path) -> Iterator[tuple[str, int]]:
    tree = ast.parse(path.read_bytes())
    for call, around in _calls(tree):
        if _name(call.func) in _ERRORS | _USAGE and call.args:
            for text in _templates(call.args[0], around, tree):
                yield text, call.lineno


def _calls(tree: ast.AST, around: ast.AST | None = None) -> Iterator[tuple[ast.Call, ast.AST | None]]:
    """Return each call with the function that it is in."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.Call):
            yield child, around
        yield from _calls(child, child if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else around)


def _templates(value: ast.expr, around: ast.AST | None, tree: ast.Module) -> Iterator[str]:
    """Return the texts that an argument may be: written there, assigned before, or returned by a function."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.JoinedStr):
        yield "".join(_part(part, around, tree) for part in value.values)
    elif isinstance(value, ast.IfExp | ast.BoolOp):
        for one in [value.body, value.orelse] if isinstance(value, ast.IfExp) else value.values:
            yield from _templates(one, around, tree)
    elif isinstance(value, ast.Name):
        for assigned in _assigned(value.id, around):
            yield from _templates(assigned, around, tree)
    elif isinstance(value, ast.Call):
        for function, module in _functions(value.func, tree):
            for node in ast.walk(function):
                if isinstance(node, ast.Return) and node.value is not None:
                    yield from _templates(node.value, function, module)


def _functions(called: ast.expr, tree: ast.Module) -> Iterator[tuple[ast.AST, ast.Module]]:
    """Return the function of that name with its module: this one, or that which it was imported from."""
    yield from ((one, tree) for one in tree.body if _is_function(one, called))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and _name(called) in {one.name for one in node.names}:
            path = ROOT.joinpath(*str(node.module).split(".")).with_suffix(".py")
            if path.is_file():
                yield from _functions(called, ast.parse(path.read_bytes()))


def _part(part: ast.expr, around: ast.AST | None, tree: ast.Module) -> str:
    """Return a part of an f-string: a fixed text for a constant of the module or a text made just before."""
    if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name):
        known = [*_assigned(part.value.id, around), *_assigned(part.value.id, tree, deep=False)]
        texts = [
            text
            for one in known
            if isinstance(one, ast.Constant | ast.JoinedStr)
            for text in _templates(one, None, tree)
        ]
        return texts[0] if texts else "{}"
    return str(part.value) if isinstance(part, ast.Constant) else "{}"


def _assigned(name: str, around: ast.AST | None, *, deep: bool = True) -> list[ast.expr]:
    nodes = [] if around is None else ast.walk(around) if deep else ast.iter_child_nodes(around)
    return [node.value for node in nodes if isinstance(node, ast.Assign) and _name(node.targets[0]) == name]


def _is_function(node: ast.AST, called: ast.expr) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == _name(called)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
