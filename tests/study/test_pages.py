"""Studies of certain pages: what they leave out, and names that are no page."""

from pathlib import Path

import pytest

from unblind.config import load
from unblind.costs.formulas import needs, total
from unblind.costs.measured import count, lines
from unblind.errors import UnblindError
from unblind.study import jobs

FOLDER = Path(__file__).parents[2] / "workflow" / "config"


def test_a_study_of_certain_pages_makes_nothing_else():
    config = load(FOLDER / "mini.yaml", {"pages": ["table3"], "results": "nowhere"})
    assert jobs.pages(config) == ["table3"]
    made = {job.name for job in jobs.of_study(config)}
    assert {"training", "probe", "probe_pictures", "probe_references", "table3"} <= made
    assert not made & {"rollout", "replay", "landscape", "frames", "table1", "audit", "drift"}


def test_a_page_that_there_is_not_is_named():
    config = load(FOLDER / "mini.yaml", {"pages": ["tabel3"]})
    with pytest.raises(UnblindError, match="pages names no page: 'tabel3', did you mean 'table3'"):
        jobs.pages(config)


def test_the_rows_of_ablations_stay_within_their_budget():
    """Beside what Table 1's study has made already, and the teacher that is trained here."""
    config = load(FOLDER / "ablations.yaml", {"results": "nowhere"})
    listed, each = lines(config), needs(config)
    mini = lines(load(FOLDER / "mini.yaml", {"results": "nowhere"}))
    assert not set(listed) & {"replay", "frames", "landscape", "think of align", "arms of align"}
    own = [name for name in listed if name not in mini and not name.startswith("contrastive")]
    expected = [each[name].times(count(listed[name])) for name in own]
    assert 20_000 < total(expected).cpu_s < 30_000


@pytest.mark.parametrize("name", ["noop-filter", "euler", "sampling", "environments"])
def test_a_study_of_a_defect_differs_in_it_alone(name):
    mini = load(FOLDER / "mini.yaml").model_dump()
    study = load(FOLDER / "defects" / f"{name}.yaml").model_dump()
    assert study.pop("results") == f"results/defects/{name}" and mini.pop("results") == "results"
    assert study.pop("pages") == [] and mini.pop("pages") is None
    differ = {key for key in mini if mini[key] != study[key]}
    assert len(differ) == 1
    (key,) = differ
    if isinstance(mini[key], dict):
        assert sum(mini[key][k] != study[key][k] for k in mini[key]) == 1


def test_defects_share_default_with_the_study_without_any():
    config = load(FOLDER / "defects.yaml")
    assert set(config.defects) == {path.stem for path in (FOLDER / "defects").iterdir()}
    assert jobs.pages(config) == ["defects"]
    assert jobs.needed_runs(config, "rollout") == ["default"]
    own, mini = (jobs.Job(c, "rollout", "default", 0) for c in (config, load(FOLDER / "mini.yaml")))
    assert own.settings == mini.settings and own.outputs == mini.outputs
