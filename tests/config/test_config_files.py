"""Several configuration files, as Snakemake merges them, and the options that say the same."""

from pathlib import Path

import yaml

from unblind.config import load
from unblind.config.files import arguments, merged

FOLDER = Path(__file__).parents[2] / "workflow" / "config"
MINI = FOLDER / "mini.yaml"


def test_runs_of_a_file_that_is_replaced_are_not_left_over(tmp_path):
    smoke, mine = FOLDER / "smoke.yaml", tmp_path / "mine.yaml"
    mine.write_text("runs: {second: {policy: random, label: Second, method: null}}\n")
    names = {file: set(yaml.safe_load(file.read_text())["runs"]) for file in (MINI, smoke)}
    added = {"typed": {"policy": "noop", "label": "Typed", "method": None}}
    both = {name: {} for name in names[MINI] | names[smoke] | {"second"}}
    values = load(smoke).model_dump() | {"runs": both | added}
    wanted = names[smoke] | {"second", "typed"}
    assert set(merged([MINI, smoke, mine], values)["runs"]) == wanted < both.keys() | {"typed"}
    assert merged([MINI, mine], values) == values
    assert merged([MINI, smoke], {"runs": 3}) == {"runs": 3}


def test_arguments_load_the_same_values_again(tmp_path):
    overrides = {"demos.successes": 8, "table1.rows": ["oracle"], "catalog": "my assets"}
    wanted = load(MINI, overrides)
    partial = tmp_path / "partial.yaml"
    partial.write_text("demos: {successes: 8}\n")
    config, path, *rest = arguments([MINI, partial], wanted.model_dump())
    assert (config, Path(path).resolve()) == ("--config", MINI)
    values = dict(text.split("=", 1) for text in rest[1::2])
    assert rest[::2] == ["--set"] * 3
    assert load(path, {key: yaml.safe_load(text) for key, text in values.items()}) == wanted
    paper = FOLDER / "paper.yaml"
    assert len(arguments([MINI, paper], load(paper).model_dump())) == 2
