"""Telling a policy of the other object or plate changes the instruction and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from unblind.config import load
from unblind.errors import UnblindError
from unblind.rollout.run import episodes_of, evaluation_episodes, rollout
from unblind.study.stages import TOLD_OTHER

MINI = Path(__file__).parents[2] / "workflow" / "config" / "mini.yaml"


@pytest.mark.parametrize("name", TOLD_OTHER)
def test_the_scene_stays_and_the_other_thing_is_named(name):
    config, condition = load(MINI), TOLD_OTHER[name]
    own, told = evaluation_episodes(config, condition, 0), episodes_of(config, name, 0)
    assert len(told) == config.rollout.episodes
    for episode, other in zip(own, told, strict=True):
        assert replace(other, instruction=episode.instruction) == episode
        assert other.instruction != episode.instruction
        named, instead = (
            (episode.object, episode.distractor)
            if condition == "multi_carrot"
            else (episode.plate, episode.distractor_plate)
        )
        before, _, after = episode.instruction.partition(named)
        assert other.instruction == f"{before}{instead}{after}"


def test_only_models_are_told_of_something_else(tmp_path):
    with pytest.raises(UnblindError, match="nothing to do for run 'oracle'") as caught:
        rollout(load(MINI), "oracle", 0, tmp_path, None, 1, rule="told_other")
    assert "runs for told_other: default, freeze, align, base" in caught.value.remedy


@pytest.mark.parametrize(
    ("rule", "name"), [("told_other", "multi_carrot"), ("rollout", "multi_plate_told_other")]
)
def test_a_record_is_made_by_its_own_rule(tmp_path, rule, name):
    with pytest.raises(UnblindError, match=f"'{name}' is no record of the rule {rule}"):
        rollout(load(MINI), "base", 0, tmp_path, [name], 1, rule)
    assert not list(tmp_path.iterdir())
