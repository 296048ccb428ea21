"""Which modules of the package a module's code imports, found without running it."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import unblind

_ROOT = Path(unblind.__file__).parent


def _name(file: Path) -> str:
    parts = file.relative_to(_ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {_name(file): file for file in _ROOT.rglob("*.py")}


def inside(names: Iterable[str]) -> set[str]:
    """Return the modules that dotted names of modules or packages stand for."""
    names = tuple(names)
    return {m for m in FILES for name in names if m == name or m.startswith(f"{name}.")}


@cache
def imports(module: str) -> frozenset[str]:
    """Return what a module imports anywhere in it, unless for type checkers alone."""
    found = set()
    for node in _nodes(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: a relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in FILES else node.module for name in names}
    return frozenset(found & FILES.keys())


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield child
            yield from _nodes(child)
