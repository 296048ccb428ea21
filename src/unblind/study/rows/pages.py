"""Stages that render tables, figures and pages."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from unblind.config.kinds import ABLATIONS
from unblind.study.rows.scope import (
    has_own_model,
    has_plane,
    has_trained,
    is_of_study,
    is_own,
    looks_inside,
)
from unblind.study.rows.shared import DEMOS, REPORT, keys, within
from unblind.study.stage import Input, Stage

#: Tables of ablations for which rows are probed, too: those of teachers, sites and layers.
PROBED = ("4", "5", "7", "11")


def _page(page: str, command: str, outputs: tuple[str, ...], **facts: Any) -> Stage:
    """Return a stage that renders a page, in several formats, from results."""
    facts = {"title": f"Render {page}", "group": "tables", "settings": None} | facts
    facts = {"modules": REPORT} | facts
    paths = tuple(f"{{results}}/{name}" for name in outputs)
    return Stage(command=command, outputs=paths, page=page, **facts)


def _settings_table(number: int) -> Stage:
    return _page(
        f"Table {number}",
        f"hyperparameters {number}",
        (f"table{number}.md", f"table{number}.tex"),
        sources=(
            "paper/hyperparameters.yaml",
            *(f"paper/templates/hyperparameters.{kind}.j2" for kind in ("md", "tex")),
        ),
    )


#: Numbers of the tables of ablations that compare teachers.
OF_TEACHERS = ("4", "11")


def _ablation(number: str) -> Stage:
    """Return the stage that renders one of the paper's tables of ablations.

    Those of teachers also tell what a linear probe reads from the teacher of each row.
    """

    def rows(config: Any) -> list[str]:
        return ["align", "default", *config.ablations[number]]

    def is_told(config: Any, run: str | None, seed: int | None) -> bool:
        own = (config if run is None else config.of(run)).training.align.teacher
        aligned = (config.of(row) for row in rows(config) if row in config.runs)
        return own in {study.training.align.teacher for study in aligned}

    return _page(
        f"Table {number}",
        f"ablation {number}",
        tuple(f"table{number}.{kind}" for kind in ("md", "csv", "tex")),
        settings=keys("scale", "seed", "seeds", "runs", "ablations", "rollout", "gradients")
        | {"training": {"align": {"teacher"}}},
        inputs=(
            *map(Input, ("rollout", "answers", "gradients", "drift")),
            *((Input("probe"),) if number in PROBED else ()),
            *((Input("probe_teacher", of=is_told),) if number in OF_TEACHERS else ()),
        ),
        sources=(
            "paper/claims.yaml",
            *(f"paper/templates/ablation.{kind}.j2" for kind in ("md", "tex")),
        ),
        rows=rows,
        when=lambda config: number in config.ablations,
    )


ROWS = {
    "table1": _page(
        "Table 1",
        "table1",
        ("table1.md", "table1.csv", "table1.tex", "table1.png"),
        settings=keys("scale", "seed", "seeds", "runs", "gates", "table1", "rollout", "answers"),
        inputs=(
            Input("rollout"),
            Input("rollout_scripted"),
            Input("rollout_served"),
            Input("arms"),
            Input("answers"),
            DEMOS,
            Input("replay"),
        ),
        sources=(
            "paper/claims.yaml",
            *(f"paper/templates/table1.{kind}.j2" for kind in ("md", "tex")),
        ),
    ),
    "table2": _page(
        "Table 2",
        "table2",
        tuple(f"table2.{kind}" for kind in ("md", "csv", "tex")),
        settings=keys("scale", "seeds", "runs", "table1", "think"),
        inputs=(*map(Input, ("think", "think_scripted", "think_answers", "answerer_answers")),),
        sources=(
            "paper/claims.yaml",
            *(f"paper/templates/table2.{kind}.j2" for kind in ("md", "tex")),
        ),
    ),
    **{f"table{number}": _ablation(number) for number in ABLATIONS},
    "forgetting": _page(
        "Drift and forgetting",
        "forgetting",
        ("drift.md", "drift.png"),
        settings=keys("scale", "seed", "seeds", "runs", "drift", "table1")
        | {"training": {"align": {"layers"}}},
        inputs=(Input("drift"),),
        sources=("paper/templates/drift.md.j2",),
        modules=REPORT,
        rows=lambda config: config.drift.rows or config.table1.rows,
        when=has_trained,
    ),
    "figure2c": _page(
        "Figure 2c",
        "figure2c",
        ("landscape.md", "figure2c.png"),
        settings=keys("scale", "seed", "seeds", "runs", "landscape"),
        inputs=(Input("landscape"),),
        sources=("paper/templates/landscape.md.j2",),
        modules=REPORT,
        when=has_plane,
    ),
    "figure4": _page(
        "Figure 4",
        "figure4",
        ("attention.md", "figure4.png"),
        settings=keys("runs", "seeds", "attention", "knockout", "seed")
        | {"training": {"align": {"layers"}}},
        inputs=(Input("attention"), Input("knockout"), Input("answerer_attention")),
        sources=("paper/templates/attention.md.j2",),
        when=looks_inside,
    ),
    "figure5": _page(
        "Figure 5",
        "figure5",
        ("collapse.md", "figure5.png"),
        settings=keys("runs", "seeds", "collapse"),
        inputs=(Input("collapse"), Input("answerer_collapse")),
        sources=("paper/templates/collapse.md.j2",),
        when=looks_inside,
    ),
    "table3": _page(
        "Table 3",
        "table3",
        ("table3.md", "table3.tex", "table3.png", "table3-named-board.png"),
        settings=keys("scale", "seeds", "runs", "probe") | {"training": {"align": {"teacher"}}},
        inputs=(Input("probe"), Input("probe_teacher", of=is_of_study), Input("probe_references")),
        sources=(
            "paper/claims.yaml",
            *(f"paper/templates/table3.{kind}.j2" for kind in ("md", "tex")),
        ),
        when=has_own_model,
    ),
    "table9": _settings_table(9),
    "table14": _settings_table(14),
    "defects": _page(
        "What a defect costs",
        "defects",
        ("defects.md",),
        settings=keys("scale", "seed", "seeds", "runs", "rollout", "think", "defects"),
        inputs=(Input("rollout"), Input("think"), Input("base", ("statistics.json",))),
        sources=("paper/templates/defects.md.j2",),
        rows=lambda config: ["default"],
        when=lambda config: is_own(config) and bool(config.defects),
    ),
    # What the stages took is known when the table is there, whose footer quotes them too.
    "costs": _page(
        "Costs",
        "costs --page",
        ("costs.md", "costs.tex"),
        after=(Input("table1", ("table1.md",)),),
        modules=(
            *REPORT,
            *within("costs", "by_page", "cards", "formulas", "measured", "need", "page"),
            *within("costs", "paper_scale"),
            *within("study", "graph", "jobs", "record_names", "rows", "selection", "stages"),
            "unblind.teachers.registry",
        ),
        sources=(
            *(f"workflow/config/{name}.yaml" for name in ("paper", "mini")),
            *(f"paper/templates/costs.{kind}.j2" for kind in ("md", "tex")),
        ),
    ),
    "audit": _page(
        "Audit",
        "audit",
        ("audit.md", "audit.json", "audit.html"),
        title="Judge the published claims",
        # Pages, and with them what they read: claims are judged by the records that are there.
        after=(
            *(Input("rollout"), Input("rollout_scripted"), Input("rollout_served")),
            *(Input(page) for page in ("table1", "table2", "table3", "figure4", "figure5")),
            *(Input(f"table{number}") for number in ABLATIONS),
        ),
        group="audit",
        settings=True,
        # Checks of the release's defects run code of every part; an audit takes seconds.
        modules=("unblind",),
        sources=(
            *("paper/claims.yaml", "paper/defects.yaml"),
            *(f"paper/templates/audit.{name}" for name in ("md.j2", "html.j2", "css", "js")),
            "paper/templates/base.css",
        ),
    ),
}


def _asked(name: str, stage: Stage) -> Stage:
    """Return a page's stage, for those studies alone that want the page (`Config.pages`)."""
    can: Callable[[Any], bool] = stage.when
    return replace(
        stage, when=lambda config: (config.pages is None or name in config.pages) and can(config)
    )


ROWS = {name: _asked(name, stage) for name, stage in ROWS.items()}
