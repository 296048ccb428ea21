"""Configuration files that extend others, several at once, and the options that say the same."""

import json
from pathlib import Path

import pytest
import yaml

from unblind.config import load
from unblind.config.files import arguments, layers, merged, read, stated_keys
from unblind.errors import UnblindError

FOLDER = Path(__file__).parents[2] / "workflow" / "config"
MINI = FOLDER / "mini.yaml"
SCALES = ("mini", "smoke", "paper", "twin")


@pytest.fixture
def write(tmp_path):
    """Write a configuration file beside copies of the shipped ones."""
    for scale in SCALES:
        (tmp_path / f"{scale}.yaml").write_text((FOLDER / f"{scale}.yaml").read_text())

    def write_file(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write_file


def flat(values, prefix=""):
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


# ---- one file and those that it extends ---------------------------------------------------------


def test_a_file_says_only_what_differs(write):
    mine = write(
        "mine.yaml",
        "extends: mini.yaml\nseeds: [3, 4]\ntraining: {align: {lambda: 0.5}}\n"
        "runs: {freeze: null, oracle: {label: Planner}, second: {policy: noop, label: Second}}\n",
    )
    old, new = dict(flat(read(MINI))), dict(flat(read(mine)))
    assert {key: value for key, value in new.items() if old.get(key, ...) != value} == {
        "seeds": [3, 4],
        "training.align.lambda": 0.5,
        "runs.oracle.label": "Planner",
        "runs.second.policy": "noop",
        "runs.second.label": "Second",
    }
    left_out = {key.partition(".freeze.")[0] for key in old.keys() - new.keys()}
    assert left_out == {"runs"}


def test_a_section_can_be_emptied_and_filled(write):
    emptied = write("a.yaml", "extends: twin.yaml\ntraining: {augmentation: null}\n")
    assert read(emptied)["training"]["augmentation"] is None
    section = read(FOLDER / "twin.yaml")["training"]["augmentation"]
    stated = yaml.safe_dump({"extends": "a.yaml", "training": {"augmentation": section}})
    assert read(write("b.yaml", stated)) == read(FOLDER / "twin.yaml")


def test_extended_files_lie_beside_the_file_that_extends_them(write, tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    write("below/mine.yaml", "extends: ../twin.yaml\nseed: 5\n")
    monkeypatch.chdir(tmp_path / "below")
    names = [file.name for file in layers(Path("mine.yaml"))]
    assert names == ["mine.yaml", "twin.yaml", "smoke.yaml", "mini.yaml"]
    assert load("mine.yaml") == load(FOLDER / "twin.yaml", {"seed": 5})


def test_the_keys_that_a_file_states_itself(write):
    mine = write("mine.yaml", "extends: paper.yaml\nseed: 1\nrender: {width: 320, height: 240}\n")
    assert stated_keys(mine) == ["seed", "render.width", "render.height"]
    assert set(stated_keys(MINI)) == dict(flat(read(MINI))).keys()


@pytest.mark.parametrize("scale", SCALES[1:])
def test_shipped_files_state_nothing_that_they_inherit(scale):
    path = FOLDER / f"{scale}.yaml"
    inherited, own = dict(flat(read(layers(path)[1]))), dict(flat(yaml.safe_load(path.read_text())))
    # What jobs may ask for is a table of whole rows.
    keys = [key for key in stated_keys(path) if not key.startswith("cluster.")]
    assert [key for key in keys if inherited.get(key, ...) == own[key]] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("extends: absent.yaml\n", "mine.yaml extends .*absent.yaml, which is missing"),
        ("extends: mine.yaml\n", "mine.yaml extends itself: .*mine.yaml -> .*mine.yaml "),
        ("extends: back.yaml\n", "itself: .*mine.yaml -> .*back.yaml -> .*mine.yaml "),
        ("extends: broken.yaml\n", "broken.yaml is not YAML: .*'seed' is given twice"),
        ("extends: mini.yaml\nextends: smoke.yaml\n", "'extends' is given twice"),
        ("extends: [mini.yaml]\n", r"'extends' names no file \(got \['mini.yaml'\]\)"),
        ("extends:\n", r"'extends' names no file \(got None\)"),
        ('extends: "a\\0b"\n', "extends .*, which is missing"),
        ("extends: .\n", "cannot read configuration .*: Is a directory"),
        ("extends: mini.yaml\ntraining: {align: {lambd: 1.0}}\n", "'training.align.lambd', did"),
        ("seed: 1\n", "missing key 'scale'.*extend a complete file .'extends: mini.yaml'."),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(write, text, words):
    write("back.yaml", "extends: mine.yaml\n")
    write("broken.yaml", "extends: mini.yaml\nseed: 1\nseed: 2\n")
    with pytest.raises(UnblindError, match=words) as caught:
        load(write("mine.yaml", text))
    assert "\n" not in str(caught.value)


# ---- several files, as Snakemake takes them -----------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
def test_a_file_given_to_snakemake_means_what_it_means_to_a_command(scale):
    path = FOLDER / f"{scale}.yaml"
    for files in ([MINI, path], [MINI, FOLDER / "smoke.yaml", path]):
        assert merged(files, {}) == read(path)


def test_files_that_extend_nothing_change_those_before_them(write):
    first = write("first.yaml", "runs: {second: {policy: random, label: Second, method: null}}\n")
    last = write("last.yaml", "extends: mini.yaml\nruns: {oracle: null}\n")
    smoke = FOLDER / "smoke.yaml"
    typed = {"runs": {"typed": {"policy": "noop", "label": "Typed", "method": None}}}
    runs = {path: read(path)["runs"].keys() for path in (MINI, smoke)}
    assert merged([MINI, smoke, first], typed)["runs"].keys() == runs[smoke] | {"second", "typed"}
    assert merged([MINI, first], {})["runs"].keys() == runs[MINI] | {"second"}
    assert merged([MINI, first, last], {})["runs"].keys() == runs[MINI] - {"oracle"}
    assert merged([MINI, smoke], {"runs": 3})["runs"] == 3


def test_a_complete_file_without_the_batch_system_replaces_those_before_it(write):
    complete = {
        key: value for key, value in read(FOLDER / "smoke.yaml").items() if key != "cluster"
    }
    path = write("complete.json", json.dumps(complete))
    assert merged([MINI, path], {}) == complete | {"cluster": read(MINI)["cluster"]}


# ---- the same as options ------------------------------------------------------------------------


def loaded(options):
    """Return the configuration that options of the command line give."""
    assert options[0] == "--config" and set(options[2::2]) <= {"--set"}
    pairs = (text.split("=", 1) for text in options[3::2])
    return load(options[1], {key: yaml.safe_load(text) for key, text in pairs})


def test_arguments_load_the_same_values_again(write):
    overrides = {"demos.successes": 8, "table1.rows": ["oracle"], "catalog": "my assets"}
    config = load(MINI, overrides)
    partial = write("partial.yaml", "demos: {successes: 8}\n")
    options = arguments([MINI, partial], config.model_dump())
    assert Path(options[1]).resolve() == MINI
    assert len(options) == 2 + 2 * 3
    assert loaded(options) == config
    paper = FOLDER / "paper.yaml"
    assert len(arguments([MINI, paper], load(paper).model_dump())) == 2


def test_arguments_leave_out_runs(write):
    partial = write("partial.yaml", "runs: {noop: null}\ntable1: {rows: [oracle]}\n")
    files = [MINI, FOLDER / "smoke.yaml", partial]
    options = arguments(files, merged(files, {}))
    assert "runs.noop=null" in options
    kept = {"default", "base", "vlm", "oracle", "random", "always_left"}
    assert loaded(options).runs.keys() == kept


@pytest.mark.parametrize("name", ["noop-filter", "euler", "greedy", "environments"])
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
