"""The commands with a published model (`base.source`), on twins: from checkpoint to action."""

import json
import shutil
import time

import cv2
import demonstrations
import numpy as np
import pyarrow.parquet as pq
import pytest
import small_study
from typer.testing import CliRunner

from unblind.cli import app
from unblind.config import load
from unblind.errors import UnblindError
from unblind.rollout.factory import ScenePolicy, load_policy
from unblind.rollout.policies import Observation
from unblind.sim.episodes import decode
from unblind.steps import base as base_steps
from unblind.steps import finetuning
from unblind.study import jobs
from unblind.training import base
from unblind.vla import checkpoint

INSTRUCTION = "put carrot on plate"


@pytest.fixture(scope="module")
def study(root, tmp_path_factory):
    """A study with twins and demonstrations alone."""
    folder = tmp_path_factory.mktemp("study")
    for name in ("openvla", "radio"):
        shutil.copytree(root / name, folder / name)
    demonstrations.write(
        jobs.demos_folder(small_study.configured(folder)), settings(folder), train=2
    )
    return folder


def settings(folder, **changes):
    return small_study.configured(folder, **changes)


@pytest.fixture
def call(study):
    """Call a command of the command line with the study's configuration."""
    options = small_study.options(study)

    def run(*words):
        done = CliRunner().invoke(app, [*words, *options], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return run


@pytest.fixture
def picture(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), values)
    return path


def test_from_the_checkpoint_to_an_action_in_under_a_minute(study, call, picture):
    start = time.process_time()
    call("base", "fetch")
    call("features", "pictures")
    call("train", "--run", "align")
    words = ("predict", str(picture), INSTRUCTION, "--run", "align", "--json")
    first = json.loads(call(*words))
    assert time.process_time() - start < 60
    assert len(first["tokens"]) == 7 and all(31744 <= token < 32000 for token in first["tokens"])
    # Actions are told in the run's own statistics.
    demos = jobs.demos_folder(settings(study))
    limits = json.loads((demos / "manifest.json").read_text())["statistics"]
    x = first["action"]["x"]["value"]
    assert limits["q01"][0] - 1e-6 <= x <= limits["q99"][0] + 1e-6
    assert first["action"]["gripper"]["command"] in ("open", "close")
    assert json.loads(call(*words)) == first


def test_what_stands_is_not_made_again(study, call):
    for words in (("base", "fetch"), ("features", "pictures"), ("train", "--run", "align")):
        assert "up to date" in call(*words)


def test_the_record_names_every_tensor_and_no_place(study):
    record = json.loads(jobs.path(settings(study), "fetch").read_text())
    loaded = checkpoint.load(study / "openvla")
    assert record["tensors"] == len(loaded.model.state_dict())
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= record["files"].keys()
    assert str(study) not in json.dumps(record)


def test_the_warm_up_is_merged_and_becomes_the_base(study):
    config = settings(study, rebuild_base=True)
    demonstrations.write(jobs.demos_folder(config, "warm-up"), config, train=1)
    base_steps.warm_up(config)
    folder = base.folder(config)
    assert folder == jobs.rebuilt(config)
    before = checkpoint.load(study / "openvla").model.state_dict()
    after = checkpoint.load(folder).model.state_dict()
    changed = {name for name in before if not before[name].equal(after[name])}
    assert any("language_model.model.layers.0." in name for name in changed)
    assert "language_model.model.embed_tokens.weight" not in changed
    assert not (jobs.rebuilt(config) / "warm-up" / "seen.npy").exists()
    finetuning.train(config, "default", 1)
    run = jobs.run_folder(config, "default", 1)
    identity = json.loads((run / "identity.json").read_text())
    assert (
        identity["base_sha256"]
        != json.loads((jobs.run_folder(settings(study), "align", 0) / "identity.json").read_text())[
            "base_sha256"
        ]
    )
    with pytest.raises(UnblindError, match="was trained on another base"):
        load_policy(settings(study), "default", 1)


def observations():
    rng = np.random.default_rng(0)
    episodes = [decode("in_distribution", number) for number in (5, 9)]
    images = rng.integers(0, 256, (2, 48, 64, 3), dtype=np.uint8)
    return [Observation(e, 3, image) for e, image in zip(episodes, images, strict=True)]


def test_scenes_get_the_same_actions_alone_and_together(study):
    seen = observations()
    for temperature in (None, 0.6):
        config = settings(study, **{"rollout.temperature": temperature})
        policy = ScenePolicy(load_policy(config, "align", 0), seed=0)
        together = policy.act(seen)
        assert together.shape == (2, 7) and set(together[:, 6]) <= {-1.0, 1.0}
        assert np.array_equal(policy.act(seen[1:])[0], together[1])
    other = ScenePolicy(load_policy(config, "align", 0), seed=1)
    assert not np.array_equal(other.act(seen), together)


def test_the_base_acts_with_its_own_statistics(study):
    config = settings(study, **{"base.unnorm_key": "bridge_orig"})
    codec = load_policy(config, "base", 0).codec
    document = json.loads((study / "openvla" / "config.json").read_text())
    assert list(codec.normalizer.q99) == document["norm_stats"]["bridge_orig"]["action"]["q99"]


def test_a_closed_loop_of_two_steps(study, renderer, tmp_path):
    from unblind.rollout.run import rollout

    config = settings(
        study,
        **{
            "catalog": "builtin",
            "think.styles": ["seen"],
            "render": {"width": 64, "height": 48, "shader": "minimal"},
            "rollout.episodes": 1,
            "rollout.in_distribution_episodes": 1,
            "rollout.max_steps": 2,
            "rollout.scenes": 1,
        },
    )
    rollout(config, "align", 0, tmp_path, ["in_distribution"], 1)
    path = tmp_path / "in_distribution.parquet"
    (row,) = pq.read_table(path).to_pylist()
    assert row["steps"] == 2 and row["run"] == "align"
    meta = json.loads((tmp_path / "in_distribution.parquet.meta.json").read_text())
    assert meta["extra"]["run_details"]["recipe"] == "corrected"
    assert any(name.endswith("base.json") for name in meta["inputs"])


# ---- what is refused --------------------------------------------------------------------------


def test_missing_inputs_are_named_with_the_command_that_makes_them(study, tmp_path):
    config = settings(study, results=str(tmp_path))
    with pytest.raises(UnblindError, match="unblind demos"):
        finetuning.pictures(config)
    demonstrations.write(jobs.demos_folder(config), config, train=1)
    with pytest.raises(UnblindError, match=r"base\.json missing \(run: unblind base fetch"):
        finetuning.train(config, "default", 0)
    base_steps.fetch(config)
    with pytest.raises(UnblindError, match=r"pictures\.npy .*run: unblind features pictures"):
        finetuning.train(config, "default", 0)
    with pytest.raises(UnblindError, match="run 'oracle' has no method"):
        finetuning.train(config, "oracle", 0)
    for refused in (finetuning.low, finetuning.teacher):
        with pytest.raises(UnblindError, match="look at each changed picture"):
            refused(config)
    with pytest.raises(UnblindError, match=r"manifest\.json is missing .*--set-of warm-up"):
        base_steps.warm_up(settings(study, results=str(tmp_path), rebuild_base=True))


def test_a_configuration_without_a_source_fetches_nothing_and_stores_no_pictures():
    mini = load(small_study.PAPER.with_name("mini.yaml"))
    with pytest.raises(UnblindError, match="names no published checkpoint"):
        base_steps.fetch(mini)
    with pytest.raises(UnblindError, match="stored features of unchanged pictures"):
        finetuning.pictures(mini)


def test_the_teacher_is_fetched_with_the_base(study, tmp_path):
    """What trains may have no network."""
    lacking = {
        "training.align.teacher_weights": str(tmp_path / "nowhere"),
        "results": str(tmp_path / "results"),
    }
    with pytest.raises(UnblindError, match=r"no folder .*nowhere"):
        base_steps.fetch(settings(study, **lacking))
    assert not (tmp_path / "results").exists()
    default = {f"runs.{name}.method": "default" for name in ("default", "freeze", "align")}
    base_steps.fetch(settings(study, **lacking, **default))
    assert jobs.path(settings(study, **lacking), "fetch").exists()


def test_weights_that_changed_since_they_were_recorded_are_refused(study, tmp_path):
    config = settings(study)
    folder = shutil.copytree(study / "openvla", tmp_path / "openvla")
    with open(folder / "config.json", "a") as handle:
        handle.write(" ")
    with pytest.raises(UnblindError, match=r"config\.json is not what .*base\.json says"):
        base.check(folder, jobs.record(config))
    with pytest.raises(UnblindError, match="missing or unreadable"):
        base.check(folder, tmp_path / "base.json")


def test_a_gpu_that_is_not_there_is_one_error(study):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    config = settings(study, **{"training.device": "cuda"})
    with pytest.raises(UnblindError, match="use cpu"):
        finetuning.train(config, "freeze", 0)
