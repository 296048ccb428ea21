from pathlib import Path

import made_up_release
import pytest
import sizes
import studies
import synthetic

from unblind.audit import build, recheck
from unblind.config import load
from unblind.errors import UnblindError
from unblind.rollout.loop import Outcome
from unblind.rollout.run import made_from
from unblind.sim.success import MILESTONES, Milestones

FINALS = {"carrot": 4, "plate": 4}


class Crew(synthetic.CrewStandIn):
    """Ends every episode as `synthetic` writes it, but for those in `lost`."""

    lost = ()

    def run(self, episodes):
        for episode in reversed(episodes):
            final = episode.episode_id < FINALS.get(episode.condition, 0)
            any_step = final or (episode.condition in FINALS and episode.episode_id == 4)
            if episode.episode_id in self.lost:
                final = any_step = False
            yield Outcome(episode, any_step, final, Milestones(*[final] * len(MILESTONES)), 80)


@pytest.fixture
def study(tmp_path, monkeypatch):
    runs = load(studies.MINI).model_dump(mode="json")["runs"]
    values = {
        "results": str(tmp_path / "results"),
        "runs": {name: runs[name] for name in ("noop", "random")},
        "table1.rows": ["noop", "random"],
        **sizes.episodes(8),
    }
    config = load(studies.MINI, values)
    for run in config.runs:
        synthetic.write_records(config, run, 0, Path(config.results, "rollouts", run, "0"), FINALS)
    monkeypatch.setattr(recheck, "Crew", Crew)
    return config


def test_a_sample_that_agrees(study):
    evidence = build.evidence(study)
    found = recheck.recheck(study, evidence, 12, 1)
    assert len({(one.run, one.condition, one.episode_id) for one in found}) == 12
    assert all(one.agrees and one.is_current for one in found)
    assert recheck.report(found).endswith("12 of 12 episodes went as stored")
    # The same seed draws the same sample.
    again = recheck.recheck(study, evidence, 12, 2)
    assert again == found
    assert {one.run for one in found} == {"noop", "random"}


def test_no_more_episodes_than_there_are(study):
    everything = recheck.recheck(study, build.evidence(study), 10_000, 1)
    assert len(everything) == 2 * 14 * 8
    assert all(one.agrees for one in everything)


def test_a_difference_is_named(study, monkeypatch):
    monkeypatch.setattr(Crew, "lost", (2, 4))
    found = recheck.recheck(study, build.evidence(study), 10_000, 1)
    # Episodes 2 (a success) and 4 (a success on the way) of two conditions and two runs.
    assert sum(not one.agrees for one in found) == 2 * 2 * 2
    said = recheck.report(found)
    assert (
        "noop/0/carrot episode 2: success_final True stored, False here, "
        "success_any True stored, False here, reached True stored, False here" in said
    )
    assert "random/0/plate episode 4: success_any True stored, False here\n" in said
    assert said.endswith(f"{2 * 14 * 8 - 8} of {2 * 14 * 8} episodes went as stored")


def test_records_of_other_code_are_marked(study, monkeypatch):
    by_other_code = {"code": ("unblind.files",)}
    monkeypatch.setattr(recheck, "made_from", lambda *run: made_from(*run) | by_other_code)
    found = recheck.recheck(study, build.evidence(study), 1, 1)
    assert "made by other code or from another model" in recheck.report(found)


def test_episodes_whose_files_have_gone_are_not_tried(study, made_up_assets):
    values = {"catalog": str(made_up_assets), "catalog_missing": "skip"}
    config = study.model_copy(update=values)
    for run in config.runs:
        place = Path(config.results, "rollouts", run, "0")
        synthetic.write_records(config, run, 0, place, FINALS)
    evidence = build.evidence(config)
    assert all(one.is_current for one in recheck.recheck(config, evidence, 20, 1))
    plate = made_up_release.folder_of("more_plate", "plate", 1)
    (made_up_assets / plate / "collision.obj").unlink()
    with pytest.raises(UnblindError, match=r"cannot run \d+ episodes .*plate_1/collision\.obj"):
        recheck.recheck(config, evidence, 20, 1)


def test_without_records_there_is_nothing_to_check(study):
    empty = study.model_copy(update={"results": f"{study.results}/nowhere"})
    with pytest.raises(UnblindError, match="there is no record to check"):
        recheck.recheck(empty, build.evidence(empty), 1, 1)
