"""The site as files: pages from templates, figures and films copied, a list of all of it."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from unblind import folders
from unblind.audit import build as auditing
from unblind.audit.commands import Commands
from unblind.audit.html import LOOKS, matrix, page_environment, render_html, source_hash
from unblind.audit.verdicts import VERDICTS
from unblind.config import Config
from unblind.costs.need import size
from unblind.errors import UnblindError
from unblind.files import sha256
from unblind.report.differences import GROUPS
from unblind.report.published import PAPER
from unblind.report.render import percent, signed
from unblind.report.summary import COLUMNS, MEANS
from unblind.site import films, layered, numbers, pages, picture, spending, stages
from unblind.site.numbers import HEADLINE, Number, Table
from unblind.site.records import Book, is_inside

#: The list of a site's files, by which it is known again.
MARKER = "SITE.json"
_MADE_BY = "unblind site"
_TEMPLATES = PAPER / "templates"
#: Figures of the repository that the first page shows.
_METHOD = Path("docs/figures/method.svg")
#: Pages by address, in the order of the navigation.
PAGES: Mapping[str, str] = {
    "index.html": "Overview",
    "table1.html": "Table 1",
    "audit.html": "Verdicts",
    "figures.html": "Figures and pages",
    "films.html": "Films",
    "stages.html": "Stages",
    "costs.html": "Costs",
    "records.html": "Records",
}


@dataclass(frozen=True)
class Made:
    """What was written.

    Attributes:
        files: how many.
        bytes: of all of them.
        problems: what of the results was left out or does not hold together.
    """

    files: int
    bytes: int
    problems: tuple[str, ...]


def build(config: Config, commands: Commands, out: Path) -> Made:
    """Write the site of a study's results, which it does not change and of which it makes none.

    The bytes depend on the results and the checkout alone, not on the clock.

    Args:
        config: the study.
        commands: how its records are made.
        out: folder; a site that is there is replaced once the new one is whole.

    Raises:
        UnblindError: the folder holds something that is no such site, it cannot be written, a
            template is missing or broken, or two compared runs were evaluated on different
            episodes.
    """
    with folders.replaced(Path(os.path.abspath(out)), check) as folder:
        writer = _Writer(config, commands, folder)
        writer.write()
        listed = {path: sha256(folder / path) for path in _files(folder)}
        told = {"made_by": _MADE_BY, "files": listed}
        (folder / MARKER).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        total = sum((folder / path).stat().st_size for path in listed)
    return Made(len(listed), total, tuple(writer.problems))


def check(folder: Path) -> None:
    """Refuse a folder that holds anything but a site that this module has written.

    Raises:
        UnblindError: it does.
    """
    remedy = "name another folder with --out, or move away what is yours"
    try:
        told = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        listed = set(told["files"]) if told["made_by"] == _MADE_BY else None
    except (OSError, ValueError, KeyError, TypeError):
        listed = None
    if listed is None:
        raise UnblindError(f"{folder} is no site of `unblind site`: it has no {MARKER}", remedy)
    if foreign := sorted(set(_files(folder)) - listed - {MARKER}):
        raise UnblindError(
            f"{folder} holds {foreign[0]}, which `unblind site` did not make", remedy
        )


def _files(folder: Path) -> list[str]:
    """Return the files below a folder, links and empty folders' names too."""
    paths = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    return sorted(path.relative_to(folder).as_posix() for path in paths)


class _Writer:
    """Collects what the pages show and writes them into a folder."""

    def __init__(self, config: Config, commands: Commands, folder: Path) -> None:
        self.config, self.folder = config, folder
        self.results = Path(config.results)
        evidence = auditing.evidence(config)
        self.audit = auditing.audit(config, evidence, commands, self.results / "audit")
        ids = {claim["id"] for claim in self.audit["claims"]}
        self.book = Book(config, evidence, commands)
        self.table = numbers.table(config, evidence, commands, ids)
        self.pages = pages.of_study(config, self.book.groups)
        self.films, wrong = films.read(self.results)
        self.costs = spending.lines(config)
        self.problems = [f"{one['path']}: {one['problem']}" for one in self.audit["integrity"]]
        self.problems += [f"{one.path}: {one.problem}" for one in wrong]
        self._film_problems = wrong
        self._environment = page_environment(_TEMPLATES)
        self._environment.filters |= {"percent": percent, "signed": signed}
        self._environment.filters |= {"size": size, "seconds": _seconds}
        self._common = self._shared()

    def write(self) -> None:
        """Write all files."""
        self._text("style.css", self._environment.get_template("site/style.css").render())
        figures = [path for one in self.pages for path in one.figures]
        for path in figures:
            self._copy(self.results / path, self.results, f"{pages.FIGURES}/{Path(path).name}")
        for one in self.films:
            self._copy(one.path, self.results, f"{films.FOLDER}/{one.path.name}")
        if _METHOD.is_file():
            self._copy(_METHOD, Path(), f"{pages.FIGURES}/{_METHOD.name}")
        self._index()
        self._page("table1.html", head=COLUMNS, means=MEANS, groups=GROUPS, claims=self._claims())
        self._page("figures.html", pages=self.pages, older=self._older())
        self._page("films.html", films=self.films, problems=self._film_problems)
        drawing = stages.draw(self.book.groups)
        sizes = {"box_width": layered.WIDTH, "box_height": layered.HEIGHT}
        self._page("stages.html", groups=self.book.groups, drawing=drawing, **sizes)
        self._page("costs.html", lines=self.costs)
        script = self._environment.get_template("site/records.js").render()
        self._page("records.html", groups=self.book.groups, numbers=self._numbers(), script=script)
        self._verdicts()
        self._rendered(figures)

    def _shared(self) -> dict[str, Any]:
        """Return what every page may name."""
        return {
            "site": PAGES,
            "config": self.config,
            "table": self.table,
            "audit": self.audit,
            "looks": LOOKS,
            "meanings": VERDICTS,
            "record": self.book.href,
            "known": self.book.records,
            "within": self.book.within,
            "script": "",
        }

    def _index(self) -> None:
        one = self.table.headline
        self._page(
            "index.html",
            headline=one,
            picture=picture.draw(one) if one else None,
            width=picture.WIDTH,
            left=picture.LEFT,
            paper=_of_paper(self.table),
            missing={name: self.table.lacking.get(name, "") for name in HEADLINE},
            method=_METHOD.is_file() and f"{pages.FIGURES}/{_METHOD.name}",
            matrix=matrix(self.audit["claims"]),
            films=self.films,
            pages=self.pages,
            older=self._older(),
            groups=self.book.groups,
            runs=Counter(one.state for one in self.book.groups),
            outcome=_outcome,
        )

    def _claims(self) -> set[str]:
        return {claim["id"] for claim in self.audit["claims"]}

    def _numbers(self) -> list[Number]:
        return [*self.table.numbers, *(line.number for line in self.costs if line.number)]

    def _verdicts(self) -> None:
        """Write the page of the audit, its records' links to the page of records."""
        there = any("defects.md" in one.texts for one in self.pages)
        costs = "pages/defects.html" if there else None
        result = {**self.audit, "costs_of_defects": costs}
        text = render_html(result, to=self.book.href, pages=PAGES, templates=_TEMPLATES)
        self._text("audit.html", text)

    def _rendered(self, figures: list[str]) -> None:
        """Write the study's pages in Markdown as HTML, and published ones where there are none."""
        texts = [path for one in self.pages for path in one.texts]
        told = pages.addresses(texts, figures)
        for one in self.pages:
            for path in one.texts:
                text = self._read(self.results / path)
                values = {"title": one.title, "path": path, "older": False, "command": ""}
                self._markdown(path, text, told, values)
        for path in self._older():
            values = {"title": path.stem, "path": path.as_posix(), "older": True, "command": ""}
            self._markdown(path.name, self._read(path), told, values)

    def _markdown(
        self, path: str, text: str, told: Mapping[str, str], values: Mapping[str, Any]
    ) -> None:
        html = pages.html(text if text.startswith("# ") else f"# {values['title']}\n\n{text}", told)
        body = Markup(html)  # noqa: S704  (the parser escapes what it is given)
        self._page(f"{pages.PAGES}/{Path(path).stem}.html", "page", root="../", body=body, **values)

    def _older(self) -> list[Path]:
        """Return the published pages of the repository that the results have none of."""
        there = {Path(path).name for path in self.book.records}
        found = sorted(PAPER.joinpath("published").glob("*.md"))
        return [path for path in found if path.name not in there]

    def _read(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            self.problems.append(f"{path.as_posix()}: is no readable text")
            return "This page is no readable text."

    def _copy(self, source: Path, root: Path, name: str) -> None:
        if not is_inside(source, root):
            raise UnblindError(f"{source} leads out of {root}", "put the file itself there")
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)

    def _page(self, name: str, template: str = "", root: str = "", **values: Any) -> None:
        template = f"site/{template or Path(name).stem}.html.j2"
        script = values.get("script", "")
        values |= {"script": Markup(script), "script_hash": source_hash(script)}  # noqa: S704
        told = self._common | {"here": name, "root": root, "title": PAGES.get(name, "")} | values
        try:
            text = self._environment.get_template(template).render(told)
        except jinja2.TemplateNotFound as error:
            cause = f"the template {_TEMPLATES / str(error.name)} is missing"
            raise UnblindError(cause, "restore it from the repository") from None
        except jinja2.TemplateError as error:
            raise UnblindError(f"{name} cannot be made: {error}", "fix its template") from None
        self._text(name, text)

    def _text(self, name: str, text: str) -> None:
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def _of_paper(table: Table) -> float | None:
    """Return the difference of the paper's means over all conditions, as a fraction."""
    first, second = (
        next((row.published_mean("all 13") for row in table.rows if row.name == name), None)
        for name in HEADLINE
    )
    return None if first is None or second is None else first - second


def _outcome(low: float, high: float) -> str:
    """Return what an interval of a difference says."""
    if low > 0:
        return "more often than"
    return "less often than" if high < 0 else ""


def _seconds(value: float | None) -> str:
    return "none" if value is None else f"{value:,.0f}"
