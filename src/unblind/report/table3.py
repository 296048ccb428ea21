"""Table 3 and its figure: linear probes of visual tokens, from the records alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unblind.config import Config
from unblind.report import named_board, probe_rates, probes
from unblind.report.page import write_page
from unblind.report.probe_figure import draw
from unblind.report.probes import MEASURES, Measure, Probed
from unblind.report.published import PAPER, load_claims
from unblind.report.render import render
from unblind.report.stats import ALPHA, Estimate

_TEMPLATES = ("md", "tex")


def table3(config: Config, results: Path) -> list[Path]:
    """Write ``results/table3`` + ``.md``, ``.tex``, ``.png``, ``-named-board.png``, with sidecars.

    Args:
        config: the study.
        results: folder with the folder ``probe`` of records, those of tokens; the records of the
            named board are those of ``config``.

    Raises:
        UnblindError: a record is missing, corrupt or does not belong to ``config``. Nothing is
            written then.
    """
    folder = results / "probe"
    models = probes.load_models(config, folder)
    references = probes.load_references(config, folder)
    probed = {**models, **references}
    shown = {key: _rates(probed, measure) for key, measure in _by_key().items()}
    named = named_board.load(config)
    context = _context(config, models, references, shown) | {"named": named_board.context(named)}
    texts = {kind: render(f"table3.{kind}.j2", context) for kind in _TEMPLATES}
    inputs = [path for one in (*probed.values(), *named.values()) for path in one.paths]
    inputs += [PAPER / "claims.yaml", *(PAPER / "templates" / f"table3.{k}.j2" for k in _TEMPLATES)]
    figure = draw(models, references, shown, context["chances"])
    contents = {
        **{f"table3.{kind}": text for kind, text in texts.items()},
        "table3.png": figure,
        "table3-named-board.png": named_board.draw(named),
    }
    return [
        write_page(config, "table3", results / name, content, inputs)
        for name, content in contents.items()
    ]


def _by_key() -> dict[str, Measure]:
    return {measure.key: measure for measure in MEASURES}


def _rates(probed: Mapping[str, Probed], measure: Measure) -> dict[str, dict[str, Estimate]]:
    return {name: probe_rates.rates(model, measure) for name, model in probed.items()}


def _context(
    config: Config,
    models: Mapping[str, Probed],
    references: Mapping[str, Probed],
    shown: Mapping[str, Mapping[str, Mapping[str, Estimate]]],
) -> dict[str, Any]:
    """Return what the templates show."""
    site, any_model = config.probe.site, next(iter(models.values()))
    found = probe_rates.differences(models, site)
    published = load_claims().tables["3"]
    printed = {row.run: row for row in published.rows.values() if row.run}
    (column,) = published.columns
    return {
        "config": config,
        "site": site,
        "sites": any_model.sites,
        "measures": MEASURES,
        "models": models,
        "references": references,
        "shown": shown,
        "at": {name: probes.site_of(m, site) for name, m in (models | references).items()},
        "chances": {measure.key: probe_rates.chance(any_model, measure) for measure in MEASURES},
        "spreads": {name: probe_rates.spread(m, MEASURES[0], site) for name, m in models.items()},
        "differences": found,
        "alpha": ALPHA,
        "published": {name: row.cells[column][0] for name, row in printed.items()},
        "published_labels": {name: row.label for name, row in printed.items()},
        "location": published.location,
        "data": "ImageNet-100" if config.probe.imagenet else "Icon-100",
        "sentence": probe_rates.sentence(found, site),
    }
