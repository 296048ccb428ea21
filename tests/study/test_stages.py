"""The table of stages agrees with itself and with the package."""

from pathlib import Path

import pytest

from unblind.cli import app
from unblind.config import load
from unblind.study.code import source_files
from unblind.study.stages import REQUESTS, STAGES, request_of, rule_of

FOLDER = Path(__file__).parents[2] / "workflow" / "config"
SCALES = {
    name: load(FOLDER / f"{name}.yaml") for name in ("mini", "smoke", "paper", "twin", "study")
}
SCALES["rebuilt"] = load(FOLDER / "mini.yaml", {"rebuild_base": True})


@pytest.mark.parametrize("name", STAGES)
def test_modules_exist_and_inputs_come_before(name):
    source_files(STAGES[name].modules)
    earlier = list(STAGES)[: list(STAGES).index(name)]
    for needed in (*STAGES[name].inputs, *STAGES[name].after):
        assert needed.stage == "base" or needed.stage in earlier


@pytest.mark.parametrize("name", STAGES)
def test_every_command_is_one_of_the_command_line(name):
    from typer.main import get_command

    command, words = get_command(app), STAGES[name].command.split()
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert all(word in options for word in words if word.startswith("--"))
    assert STAGES[name].processes == 1 or "--workers" in options


def test_what_is_not_local_may_ask_a_cluster_for_something():
    assert {request_of(name) for name in STAGES if not STAGES[name].is_local} == set(REQUESTS)
    assert rule_of("rollout_scripted") == "rollout" and "rollout_scripted" in REQUESTS
    assert not {"pull", "fetch", "answerer"} & set(REQUESTS)
