"""The base's stages, at the smallest size: what is trained, what is said, what is written."""

import itertools
import json
import shutil
from types import SimpleNamespace

import commands
import demonstrations
import models
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from unblind.config import load
from unblind.demos import pretraining
from unblind.pictures import shards
from unblind.pictures.scenes import Scene, Thing
from unblind.sim import conditions
from unblind.sim.catalogs import load_catalog
from unblind.training import data, losses, pretrain, robot, team, tower, vlm
from unblind.training.team import Team
from unblind.vla import checkpoint, policy
from unblind.vla.batch import Turn, collate
from unblind.vla.lite import load_lite

SETTINGS = {"base.model.image_size": 64, "base.model.hidden_size": 32}


@pytest.fixture(scope="module")
def config():
    return load(commands.SMOKE, SETTINGS)


@pytest.fixture(scope="module")
def words():
    return pretrain.make_vocabulary()


# ---- vocabulary -------------------------------------------------------------------------------


def names():
    catalog = load_catalog(pretraining.CATALOG)
    return [[model.name for model in models] for models in (catalog.objects, catalog.plates)]


def test_everything_said_in_pretraining_is_known(words):
    for template in pretraining.TEMPLATES:
        for thing, plate in itertools.product(*names()):
            told = template.format(object=thing, plate=plate)
            assert words.UNKNOWN not in words.action_prompt(told), told
    for question in (
        data.HEIGHT_QUESTION,
        f"{data.HOLD_QUESTION} red cube",
        "where is the gripper",
    ):
        assert words.UNKNOWN not in words.question_prompt(question), question
    assert words.UNKNOWN not in words.encode("yes no")


def test_every_instruction_of_the_study_fits_the_policys_fixed_length(words):
    """A longer prompt would change the shape of the products for its whole batch."""
    longest = 0
    for template in conditions.TEMPLATES:
        for thing, plate in itertools.product(conditions.OBJECTS, conditions.PLATES):
            told = template.format(object=thing, plate=plate)
            longest = max(longest, len(words.action_prompt(told)))
    assert longest <= policy._LENGTH


# ---- the model --------------------------------------------------------------------------------


def test_a_new_model_has_the_pretrained_tower_and_a_seeded_rest(config, words):
    before = torch.random.get_rng_state()
    one, same, other = (
        pretrain.make_model(config.base.model, words, seed).state_dict() for seed in (0, 0, 1)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    tower = {
        f"vision_backbone.featurizer.{n}": t for n, t in load_lite("lite0", 11).named_parameters()
    }
    for name, tensor in one.items():
        assert torch.equal(tensor, same[name]), name
        if name in tower:
            assert torch.equal(tensor, tower.pop(name)), name
            assert torch.equal(tensor, other[name]), name
    assert not tower
    head = "language_model.lm_head.weight"
    assert not torch.equal(one[head], other[head])
    assert one[head].shape[0] == words.size


def test_all_but_the_towers_first_blocks_is_trained():
    model = models.small()
    chosen = pretrain.trained(model)
    fixed = {name for name, p in model.named_parameters() if not p.requires_grad}
    tower = "vision_backbone.featurizer"
    starts = {f"{tower}.stem.", *(f"{tower}.blocks.{n}." for n in range(5))}
    assert fixed == {name for name, _ in model.named_parameters() if name.startswith(tuple(starts))}
    assert chosen.keys() | fixed == dict(model.named_parameters()).keys()
    assert any(name.startswith(f"{tower}.blocks.10.") for name in chosen)


# ---- accuracies and losses --------------------------------------------------------------------


def test_accuracies_are_counted_apart():
    ids = list(models.VOCABULARY.actions)[:7]
    turns = [
        Turn((8,), Turn.of([], ids).answer, (1.0,) * 8, "action"),
        Turn.of((9,), [20]),
    ]
    batch = collate([turns, turns])
    logits = torch.nn.functional.one_hot(batch.targets, models.VOCABULARY.size).float()
    right = numbers(logits, batch)
    perfect = {f"accuracy_{name}": 1.0 for name in (*losses.DIMENSIONS, "answers")}
    assert right == perfect | {"l1": 0.0}
    logits[2] = logits[3]  # z of the first picture, one bin off
    logits[8] = logits[3]  # the answer of its question; EOS is right
    changed = {"accuracy_z": 0.5, "accuracy_answers": 0.75}
    # One of fourteen tokens is one of 255 bins of [-1, 1] off.
    assert numbers(logits, batch) == pytest.approx(right | changed | {"l1": 2 / 255 / 14})
    alone = numbers(logits[8:10], collate([[turns[1]]]))
    assert alone["accuracy_answers"] == 0.5
    assert all(np.isnan(alone[name]) for name in ("accuracy_x", "l1"))


def numbers(logits, batch):
    found = losses.accuracies(logits, batch, models.VOCABULARY)
    return {name: number.item() for name, number in found.items()}


# ---- whole stages -----------------------------------------------------------------------------


def write_pictures(folder, count=8):
    turns = [
        {"question": "where is the carrot", "answer": "<loc010><loc100>", "kind": "where"},
        {"question": "is there a carrot", "answer": "yes", "kind": "is"},
    ]
    rng = np.random.default_rng(0)
    carrot = Thing("carrot", "object", (0.08, 0.78))
    scene = Scene((carrot, Thing("plate", "plate", (0.6, 0.3))), table="picnic table")
    rows = [
        {
            "image": demonstrations.picture(rng),
            "turns": turns,
            "kind": "still",
            "scene": scene.to_json(),
        }
        for _ in range(count)
    ]
    folder.mkdir()
    known = {"object": [["carrot", "banana"]], "plate": [["plate", "cloth"]]}
    (folder / "manifest.json").write_text(json.dumps({"names": known}))
    table = pa.Table.from_pylist(rows, shards.SCHEMA)
    pq.write_table(table, folder / "train-00000.parquet")
    return folder


@pytest.fixture(scope="module")
def made(config, tmp_path_factory):
    """The model after pictures with questions, and after robot pretraining."""
    root = tmp_path_factory.mktemp("stages")
    pictures = write_pictures(root / "pictures")
    demos = demonstrations.write(root / "demos", config, train=2)
    alone = Team()
    tower.train_tower(alone, config, "tower", pictures, root / "tower")
    vlm.train_vlm(alone, config, root / "tower", pictures, root / "vlm")
    low = root / "tower" / "low"
    robot.train_robot(alone, config, root / "vlm", demos, pictures, low, root / "robot")
    return SimpleNamespace(root=root, pictures=pictures, demos=demos)


def test_each_stage_changes_what_it_trains_and_nothing_else(made, config, words):
    new = pretrain.make_model(config.base.model, words, config.seed).state_dict()
    told, seen, acted = (
        checkpoint.load(made.root / n).model.state_dict() for n in ("tower", "vlm", "robot")
    )
    fixed = {n for n, p in checkpoint.load(made.root / "vlm").model.named_parameters()}
    fixed -= pretrain.trained(pretrain.make_model(config.base.model, words, 0)).keys()
    for name in fixed:
        assert torch.equal(told[name], new[name].half().float()), name
        assert torch.equal(seen[name], told[name]), name
        assert torch.equal(acted[name], seen[name]), name
    for name in ("language_model.lm_head.weight", "projector.fc1.weight", "visual_positions"):
        assert not torch.equal(told[name], new[name])
        assert not torch.equal(seen[name], told[name])
        assert not torch.equal(acted[name], seen[name])
    decoder = "language_model.model.layers.0.mlp.up_proj.weight"
    assert torch.equal(told[decoder], new[decoder].half().float()), "the tower's stage has none"


def test_the_robots_statistics_are_those_of_its_demonstrations(made):
    manifest = json.loads((made.demos / "manifest.json").read_text())
    stored = json.loads((made.root / "robot" / checkpoint.STATISTICS).read_text())
    assert stored == manifest["statistics"]
    normalizer = checkpoint.load(made.root / "robot").codec().normalizer
    assert list(normalizer.q99) == stored["q99"]


def robot_again(made, config, out):
    low = made.root / "tower" / "low"
    start, demos, pictures = made.root / "vlm", made.demos, made.pictures
    robot.train_robot(Team(), config, start, demos, pictures, low, out)
    return (out / checkpoint.WEIGHTS).read_bytes()


def test_a_round_goes_on_from_the_last_in_an_order_of_its_own(made, config, tmp_path):
    done = made.root / "robot"
    first, last = (checkpoint.load(f).model.state_dict() for f in (done / "round-1", done))
    name = "language_model.lm_head.weight"
    # Two steps of AdamW change no weight by much more than the sum of their rates.
    moved = (first[name] - last[name]).abs().max()
    assert 0 < moved < 2.5 * config.base.robot[1].rate
    logs = [(folder / "training.jsonl").read_text() for folder in (done / "round-1", done)]
    assert [json.loads(log.splitlines()[-1])["step"] for log in logs] == [4, 2]
    again = tmp_path / "robot"
    shutil.copytree(done, again)
    (again / checkpoint.WEIGHTS).unlink()
    (again / "round-1" / "training.jsonl").unlink()
    (again / "round-1" / "checkpoint.safetensors").unlink(missing_ok=True)
    assert robot_again(made, config, again) == (done / checkpoint.WEIGHTS).read_bytes()
    assert not (again / "round-1" / "training.jsonl").exists(), "a finished round is not repeated"


def test_two_processes_give_the_bytes_of_one(made, config, tmp_path):
    low = made.root / "tower" / "low"
    inputs = (made.root / "vlm", made.demos, made.pictures, low, tmp_path)
    team.run(robot.train_robot, 2, "cpu", config, *inputs)
    for name in (checkpoint.WEIGHTS, "low/train-00000.npy"):
        assert (tmp_path / name).read_bytes() == (made.root / "robot" / name).read_bytes()


def test_a_stage_gives_the_same_bytes_again(made, config, tmp_path):
    tower.train_tower(Team(), config, "tower", made.pictures, tmp_path / "tower")
    vlm.train_vlm(Team(), config, tmp_path / "tower", made.pictures, tmp_path / "vlm")
    for stage in ("tower", "vlm"):
        for name in (checkpoint.WEIGHTS, checkpoint.CONFIG, checkpoint.TOKENIZER):
            again = (tmp_path / stage / name).read_bytes()
            assert again == (made.root / stage / name).read_bytes()


def test_the_log_has_actions_and_answers(made):
    line = json.loads((made.root / "robot" / "training.jsonl").read_text().splitlines()[-1])
    assert {"loss", "accuracy_x", "accuracy_gripper", "accuracy_answers"} <= line.keys()
    line = json.loads((made.root / "vlm" / "training.jsonl").read_text().splitlines()[-1])
    assert "accuracy_answers" in line and "accuracy_x" not in line
