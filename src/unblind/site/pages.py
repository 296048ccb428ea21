"""The rendered pages and figures of a study, taken over as they are."""

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markdown_it import MarkdownIt
from markdown_it.token import Token

from unblind.config import Config
from unblind.site.records import Group, is_inside
from unblind.study.stages import STAGES

#: Captions of `snakemake --report`, a file a page.
CAPTIONS = Path("workflow/report")
#: Folders of the site.
PAGES, FIGURES = "pages", "figures"
#: What the site shows by pages of its own.
_OWN = {"audit.md": "audit.html"}


@dataclass(frozen=True)
class Page:
    """A page or figure that a stage renders.

    Attributes:
        stage: name of the stage.
        title: what the page is called.
        caption: a sentence or two about it.
        texts: its pages in Markdown that are there, by their paths within the results.
        figures: its figures that are there, alike.
        command: makes what is missing; empty: nothing is.
    """

    stage: str
    title: str
    caption: str
    texts: Sequence[str]
    figures: Sequence[str]
    command: str


def of_study(config: Config, groups: Iterable[Group]) -> list[Page]:
    """Return the pages of a study, those that are not there included."""
    results = Path(config.results)
    pages = []
    for one in groups:
        if not one.page:
            continue
        there = [record.path for record in one.records if is_inside(results / record.path, results)]
        pages.append(
            Page(
                one.name,
                STAGES[one.name].page,
                caption(config, one.name),
                [path for path in there if path.endswith(".md") and path not in _OWN],
                [path for path in there if path.endswith(".png")],
                one.command,
            )
        )
    return pages


def caption(config: Config, stage: str) -> str:
    """Return a page's caption as one line; empty where there is none."""
    path = CAPTIONS / f"{stage}.rst"
    if not path.is_file():
        return ""
    environment = jinja2.Environment(autoescape=False)  # noqa: S701  (escaped by the site's pages)
    template = environment.from_string(path.read_text(encoding="utf-8"))
    told = {"config": config.model_dump(mode="json")}
    return " ".join(template.render(snakemake=told).split()).replace("``", "")


def html(text: str, addresses: Mapping[str, str]) -> str:
    """Return a page in Markdown as HTML; HTML in it stays text.

    Args:
        text: in Markdown with tables.
        addresses: of the pages and figures that it may name, by their names beside it; links to
            anything else become plain text, other pictures their description.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for token in tokens:
        if align := token.attrs.pop("style", None):
            token.attrs["class"] = str(align).removeprefix("text-align:")
        if token.children:
            token.children = list(_within(token.children, addresses))
    said = parser.renderer.render(tokens, parser.options, {})
    box = '<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>'
    return said.replace("<table>", box).replace("</table>", "</table></div>")


def _within(tokens: Iterable[Token], addresses: Mapping[str, str]) -> Iterable[Token]:
    """Yield the tokens of a line, links and pictures with addresses of the site."""
    kept: list[bool] = []
    for token in tokens:
        if token.type == "link_open":
            address = addresses.get(posixpath.normpath(str(token.attrs["href"])))
            kept.append(address is not None)
            if address is None:
                continue
            token.attrs["href"] = address
        elif token.type == "link_close" and not kept.pop():
            continue
        elif token.type == "image":
            address = addresses.get(posixpath.normpath(str(token.attrs["src"])))
            if address is None:
                yield Token("text", "", 0, content=token.content)
                continue
            token.attrs["src"] = address
        yield token


def addresses(texts: Iterable[str], figures: Iterable[str]) -> dict[str, str]:
    """Return the addresses of pages and figures, as seen from the folder of pages, by name."""
    found = {Path(path).name: f"{Path(path).stem}.html" for path in texts}
    found |= {Path(path).name: f"../{FIGURES}/{Path(path).name}" for path in figures}
    return found | {name: f"../{address}" for name, address in _OWN.items()}
