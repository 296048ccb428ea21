"""Which lines of code a change has touched, and which of those ran."""

import ast
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

_NAME = re.compile(r"^\+\+\+ b/(.+)$", re.MULTILINE)
_HUNK = re.compile(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", re.MULTILINE)


def changed(root: Path, old: str) -> dict[str, set[int]]:
    """Return the lines that a work tree's sources have and a commit had not.

    A file that was moved counts with the lines that differ from where it was.

    Args:
        root: of the work tree.
        old: the commit.

    Returns:
        name of the file below ``root`` -> numbers of lines, from 1.
    """
    command = ["git", "-C", str(root), "diff", "-U0", "-M40%", "--no-color", old, "--", "src"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines: dict[str, set[int]] = {}
    for section in re.split(r"^diff --git ", text, flags=re.MULTILINE)[1:]:
        if name := _NAME.search(section):
            spans = [(int(first), int(count or 1)) for first, count in _HUNK.findall(section)]
            lines[name[1]] = {n for first, count in spans for n in range(first, first + count)}
    return lines


def never_ran(source: str, touched: Iterable[int], ran: Iterable[int]) -> list[int]:
    """Return the first lines of a module's touched statements that never ran.

    Statements that can only end in an error are left out: where they run there is no result.

    Args:
        source: of the module.
        touched: numbers of lines.
        ran: numbers of lines that were executed.
    """
    changed_lines, executed = set(touched), set(ran)
    spans = (
        range(_first(statement), _last(statement) + 1)
        for statement in _walk(ast.parse(source).body)
    )
    return [
        span.start
        for span in spans
        if not changed_lines.isdisjoint(span) and executed.isdisjoint(span)
    ]


def _walk(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a block that do something, and those below them, outer ones first."""
    if _only_fails(body):
        return
    for statement in body:
        if not _does_nothing(statement):
            yield statement
            for block in _blocks(statement):
                yield from _walk(block)


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        yield getattr(statement, name, [])
    for branch in (*getattr(statement, "handlers", []), *getattr(statement, "cases", [])):
        yield branch.body


def _only_fails(body: list[ast.stmt]) -> bool:
    """Tell whether a block only prepares an error and raises it."""
    *before, last = body or [ast.Pass()]
    return isinstance(last, ast.Raise) and all(
        isinstance(statement, (ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom))
        for statement in before
    )


def _does_nothing(statement: ast.stmt) -> bool:
    """Tell whether a statement is a text or for type checkers alone."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test)


def _first(statement: ast.stmt) -> int:
    return min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])


def _last(statement: ast.stmt) -> int:
    """Return the last line of a statement itself: of one with a block, of its head."""
    blocks = [block for block in _blocks(statement) if block]
    if not blocks:
        return statement.end_lineno or statement.lineno
    return max(statement.lineno, _first(blocks[0][0]) - 1)
