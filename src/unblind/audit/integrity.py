"""Whether the results still are what was made: found by hashes and by rendering again."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

from unblind.audit.records import Evidence, Problem
from unblind.config import Config
from unblind.custody import carried
from unblind.errors import UnblindError
from unblind.files import sha256
from unblind.report.table1 import render_table1
from unblind.study import provenance

_LINES_SHOWN = 5
#: Records of runs on what models know, a file a seed.
_OF_RUNS = tuple(
    f"{name}/*/*.meta.json"
    for name in ("answers", "think-answers", "probe", "attention", "attention-maps", "knockout")
) + ("collapse/*/*.meta.json",)
#: A line of a table is shortened around the first difference to this many characters.
_WIDTH = 60


def findings(config: Config, evidence: Evidence, out: Path) -> list[Problem]:
    """Return what does not hold together in a study's results.

    Records that were refused; rendered tables that differ from what their records give, line by
    line; other artifacts that differ from their sidecars. What is missing is no finding.

    Args:
        config: the study.
        evidence: its records.
        out: the audit's own pages, without suffix: they are about to be written anew.
    """
    results = Path(config.results)
    problems_found = [*evidence.refused]
    rendered = _render(config)
    named = {problem.path for problem in evidence.refused}
    for path in _artifacts(results):
        if path.with_suffix("") == out or path.as_posix() in named:
            continue
        problems = list(_differences(path, rendered.get(path)))
        problems_found += problems or _unlike_sidecar(path)
    return problems_found


def _render(config: Config) -> Mapping[Path, str]:
    """Return rendered tables by path; none if an input is missing or not to be believed."""
    results = Path(config.results)
    # A gate that is not met must not stop an audit.
    gates = config.gates.model_copy(update={"action": "warn"})
    try:
        made = render_table1(
            config.model_copy(update={"gates": gates}),
            results / "rollouts",
            *carried.sources(config),
            results / "answers",
        )
    except UnblindError:
        return {}
    return {results / f"table1{suffix}": text for suffix, text in made.texts.items()}


def _artifacts(results: Path) -> list[Path]:
    """Return what has a sidecar: tables, replay, manifest, weights, and what models know."""
    places_of = ("*.meta.json", "demos/*.meta.json", "training/*/*/*.meta.json")
    places_of += ("probe/*.meta.json", "think/*/*/*.meta.json", *_OF_RUNS)
    sidecars = sorted(path for pattern in places_of for path in results.glob(pattern))
    paths = (path.with_name(path.name.removesuffix(".meta.json")) for path in sidecars)
    return [path for path in paths if path.is_file()]


def _differences(path: Path, text: str | None) -> Iterator[Problem]:
    """Yield the lines of a rendered table that its records do not give."""
    if text is None:
        return
    try:
        stands = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        yield Problem(path.as_posix(), "is no text")
        return
    lines = itertools.zip_longest(stands, text.splitlines(), fillvalue="")
    wrong = [(number, *pair) for number, pair in enumerate(lines, 1) if pair[0] != pair[1]]
    for number, here, expected in wrong[:_LINES_SHOWN]:
        here, expected = _around(here, expected)
        yield Problem(f"{path.as_posix()}:{number}", f"says '{here}', its records '{expected}'")
    if len(wrong) > _LINES_SHOWN:
        more = f"{len(wrong) - _LINES_SHOWN} more lines differ from what its records give now"
        yield Problem(path.as_posix(), more)


def _around(here: str, expected: str) -> tuple[str, str]:
    """Return two lines shortened around their first difference."""
    pairs = itertools.zip_longest(here, expected)
    first = next(index for index, (ours, other) in enumerate(pairs) if ours != other)
    start = max(0, first - _WIDTH // 2)
    return here[start : start + _WIDTH], expected[start : start + _WIDTH]


def _unlike_sidecar(path: Path) -> list[Problem]:
    try:
        if provenance.read(path).get("sha256") == sha256(path):
            return []
    except UnblindError as error:
        return [Problem(path.as_posix(), error.cause)]
    return [Problem(path.as_posix(), "its content differs from its sidecar")]
