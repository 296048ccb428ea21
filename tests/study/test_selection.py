"""Which runs and pages a study needs."""

from pathlib import Path

import pytest

from unblind.config import load
from unblind.errors import UnblindError
from unblind.study import graph, jobs, selection

FOLDER = Path(__file__).parents[2] / "workflow" / "config"


def test_what_models_are_compared_with_is_asked_without_a_row_of_its_own():
    few = load(FOLDER / "mini.yaml", {"table1.rows": ["align"]})
    assert selection.needed_runs(few, "answers") == ["align", "vlm", "base"]
    assert (
        selection.needed_runs(few, "rollout") == selection.needed_runs(few, "training") == ["align"]
    )
    scripted = load(FOLDER / "mini.yaml", {"table1.rows": ["oracle"], "results": "nowhere"})
    assert not [job for job in graph.of_study(scripted) if job.name in ("held_out", "answers")]


def test_a_page_that_there_is_not_is_named():
    config = load(FOLDER / "mini.yaml", {"pages": ["tabel3"]})
    with pytest.raises(UnblindError, match="pages names no page: 'tabel3', did you mean 'table3'"):
        selection.pages(config)


def test_defects_share_default_with_the_study_without_any():
    config = load(FOLDER / "defects.yaml")
    assert set(config.defects) == {path.stem for path in (FOLDER / "defects").iterdir()}
    assert selection.pages(config) == ["defects"]
    assert selection.needed_runs(config, "rollout") == ["default"]
    powered = load(FOLDER / "study.yaml")
    own, other = (jobs.Job(study, "rollout", "default", 0) for study in (config, powered))
    assert own.settings == other.settings and own.outputs == other.outputs
