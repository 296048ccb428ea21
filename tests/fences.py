"""The documentation's fenced blocks, and the shell commands in them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: The README first, as a reader meets them.
PAGES = ("README.md", "CONTRIBUTING.md")
PAGES += tuple(sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))


def read(page: str) -> str:
    """Return the text of a page, named from the repository's root."""
    return (ROOT / page).read_text(encoding="utf-8")


def fences(text: str) -> list[tuple[str, str]]:
    """Return language and content of every fenced block of a page."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a page in one language."""
    return [content for written_in, content in fences(text) if written_in == language]


def commands(text: str) -> list[str]:
    """Return the shell commands of a page as they are written, comments behind them included.

    A command that goes on after a backslash is one; lines that only hold a comment are none.
    """
    lines = "".join(blocks(text, "sh")).replace("\\\n", " ").splitlines()
    return [line for line in lines if bare(line)]


def bare(command: str) -> str:
    """Return a command without the comment behind it, its words one blank apart."""
    return " ".join(re.split(r"(?:^|\s)#", command)[0].split())
