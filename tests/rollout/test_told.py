"""Telling a policy of the other object or plate changes the instruction and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from unblind.config import load
from unblind.errors import UnblindError
from unblind.rollout.run import episodes_of, evaluation_episodes, rollout
from unblind.sim import conditions
from unblind.study import record_names

MINI = Path(__file__).parents[2] / "workflow" / "config" / "mini.yaml"
STUDY = MINI.with_name("study.yaml")
OTHER = ("multi_carrot_told_other", "multi_plate_told_other")
WORDS = ("told_nothing", "told_shuffled", "told_paraphrase")
MORE = {f"rollout.arms.{arm}": ["in_distribution", "instruct"] for arm in WORDS}


@pytest.mark.parametrize("name", OTHER)
def test_the_scene_stays_and_the_other_thing_is_named(name):
    config, condition = load(STUDY), record_names.arms(load(STUDY))[name].condition
    own, others = evaluation_episodes(config, condition, 0), episodes_of(config, name, 0)
    assert len(others) == config.rollout.episodes
    for episode, other in zip(own, others, strict=True):
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
        rollout(load(STUDY), "oracle", 0, tmp_path, None, 1, rule="arms")
    assert "runs for arms: default, freeze, align, base" in caught.value.remedy


@pytest.mark.parametrize(
    ("rule", "name"), [("arms", "multi_carrot"), ("rollout", "multi_plate_told_other")]
)
def test_a_record_is_made_by_its_own_rule(tmp_path, rule, name):
    with pytest.raises(UnblindError, match=f"'{name}' is no record of the rule {rule}"):
        rollout(load(STUDY), "base", 0, tmp_path, [name], 1, rule)
    assert not list(tmp_path.iterdir())


def episodes(arm, condition):
    config = load(STUDY, MORE)
    own = evaluation_episodes(config, condition, 0)
    return own, episodes_of(config, f"{condition}_{arm}", 0)


@pytest.mark.parametrize("condition", ["in_distribution", "instruct"])
@pytest.mark.parametrize("arm", WORDS)
def test_each_arm_changes_the_instruction_alone(arm, condition):
    own, others = episodes(arm, condition)
    for episode, other in zip(own, others, strict=True):
        assert replace(other, instruction=episode.instruction) == episode
        assert other.instruction != episode.instruction
    assert episodes(arm, condition)[1] == others, "decided by the episodes"


def test_what_is_told_is_nothing_the_same_words_or_the_same_in_other_words():
    _, nothing = episodes("told_nothing", "instruct")
    assert {episode.instruction for episode in nothing} == {""}
    for episode, other in zip(*episodes("told_shuffled", "instruct"), strict=True):
        assert sorted(other.instruction.split()) == sorted(episode.instruction.split())
    templates = set()
    for episode, other in zip(*episodes("told_paraphrase", "in_distribution"), strict=True):
        names = {"object": episode.object, "plate": episode.plate}
        written = [template.format_map(names) for template in conditions.TEMPLATES]
        assert other.instruction in written[1:] and episode.instruction == written[0]
        templates.add(written.index(other.instruction))
    assert len(templates) > 5
