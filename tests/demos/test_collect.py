"""Demonstrations: planned without a simulator, collected with it at the smallest size."""

import contextlib
import itertools
import json
import shutil
from collections import Counter
from types import SimpleNamespace

import commands
import cv2
import made_up_release
import numpy as np
import pyarrow.parquet as pq
import pytest

from unblind.config import load
from unblind.demos import collect, manifests, shards
from unblind.errors import Note, UnblindError
from unblind.sim import conditions
from unblind.sim.episodes import decode, sample_ids
from unblind.study import provenance

SIZES = {"demos.successes": 6, "demos.shard_episodes": 2}


@pytest.fixture(scope="module")
def config():
    return load(commands.SMOKE, SIZES)


def words(out, workers):
    sizes = [f"{key}={value}" for key, value in SIZES.items()]
    options = [word for size in sizes for word in ("--set", size)]
    return ["demos", "--config", commands.SMOKE, *options, "--out", out, "--workers", workers]


def content(folder):
    """Every file's bytes by name, without the sidecar, which has times."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {p.name: p.read_bytes() for p in files if not p.name.endswith(".meta.json")}


# ---- the plan ---------------------------------------------------------------------------------


def planned(slots, split):
    return [slot for slot in slots if slot.split == split]


def test_256_successes_are_each_pair_of_object_and_table_once():
    slots = planned(collect.plan_slots(load(commands.SMOKE, {"demos.successes": 256})), "train")
    pairs = []
    for slot in slots:
        episodes = [decode("in_distribution", i, "train") for i in slot.candidates]
        assert len({(e.object, e.table) for e in episodes}) == 1, "a retry keeps the pair"
        pairs.append((episodes[0].object, episodes[0].table))
    objects, tables = conditions.OBJECTS[:16], conditions.TABLES[:16]
    assert pairs == [(o, t) for t in tables for o in objects]


def test_any_prefix_shows_all_objects_and_is_the_plan_of_fewer_successes():
    longer = planned(collect.plan_slots(load(commands.SMOKE, {"demos.successes": 300})), "train")
    shorter = planned(collect.plan_slots(load(commands.SMOKE, {"demos.successes": 20})), "train")
    assert longer[:20] == shorter
    pairs = Counter(
        (e.object, e.table)
        for e in (decode("in_distribution", s.candidates[0], "train") for s in longer)
    )
    assert sorted(Counter(pairs.values()).items()) == [(1, 212), (2, 44)]  # 300 = 256 + 44
    tries = [number for slot in longer for number in slot.candidates]
    assert len(set(tries)) == len(tries) == 300 * 8


def test_training_held_out_and_evaluation_never_share_an_episode():
    changes = {"demos.successes": 512, "demos.held_out_per_object": 5}
    slots = collect.plan_slots(load(commands.SMOKE, changes))
    held_out = planned(slots, "held_out")
    assert [decode("in_distribution", s.candidates[0], "train").object for s in held_out] == [
        name for name in conditions.OBJECTS[:16] for _ in range(5)
    ]
    training = {number for slot in planned(slots, "train") for number in slot.candidates}
    aside = {number for slot in held_out for number in slot.candidates}
    evaluation = {
        number
        for seed in load(commands.ROOT / "workflow" / "config" / "paper.yaml").seeds
        for number in sample_ids("in_distribution", 128, seed)
    }
    assert len(aside) == 16 * 5 * 8
    assert not training & aside and not training & evaluation and not aside & evaluation


def test_every_set_has_episodes_of_its_own():
    mini = commands.ROOT / "workflow" / "config" / "mini.yaml"
    config = load(mini, {"demos.held_out_per_object": 5})
    tries = config.demos.attempts_per_slot
    sets = {
        split: {n for slot in planned(collect.plan_slots(config), split) for n in slot.candidates}
        for split in ("train", "held_out")
    }
    warm_up = collect.plan_slots(config, "warm-up")
    sets["warm-up"] = {number for slot in warm_up for number in slot.candidates}
    assert len(sets["warm-up"]) == len(warm_up) * tries == 140 * tries
    for purpose in ("validation", "evaluation"):
        drawn = [sample_ids("in_distribution", 1000, s, "train", purpose=purpose) for s in range(4)]
        sets[purpose] = {number for numbers in drawn for number in numbers}
    names = list(sets)
    for first, second in itertools.combinations(names, 2):
        assert not sets[first] & sets[second], (first, second)


def test_the_warm_up_shows_all_objects_evenly():
    warm_up = collect.plan_slots(load(commands.SMOKE, {"base.warm_up_episodes": 40}), "warm-up")
    shown = [decode("in_distribution", s.candidates[0], "train").object for s in warm_up]
    assert shown[:16] == list(conditions.OBJECTS[:16])
    assert set(Counter(shown).values()) == {2, 3}
    tries = [number for slot in warm_up for number in slot.candidates]
    assert len(set(tries)) == len(tries)


def test_pretraining_slots_have_numbers_of_their_own_for_each_seed():
    plans = [
        collect.plan_slots(
            load(commands.SMOKE, {"base.demos.successes": 5, "seed": seed}), "pretraining"
        )
        for seed in (0, 1)
    ]
    tries = [number for plan in plans for slot in plan for number in slot.candidates]
    assert len(set(tries)) == len(tries) == 2 * 5 * 8
    assert [slot.name for slot in plans[0]] == [f"train-{n:05d}" for n in range(5)]


# ---- one slot, and counting -------------------------------------------------------------------


def attempt(number, success):
    """What a recorder returns, made up."""
    summary = {"object": "carrot", "success": success, "failed_stage": None if success else "lift"}
    row = dict(
        episode_id=number,
        step=0,
        image=b"png",
        action=np.zeros(7, np.float32),
        executed=np.zeros(7, np.float32),
        instruction="put carrot on plate",
        stage="reach",
        **dict.fromkeys(("object_xyz", "plate_xyz", "gripper_xyz"), np.zeros(3, np.float32)),
        held=False,
    )
    summary |= {"episode_id": number}
    return SimpleNamespace(success=success, summary=lambda: summary, rows=lambda: [row])


@pytest.fixture
def recorder(monkeypatch):
    """A recorder whose episodes above 10 succeed."""
    fake = SimpleNamespace(attempt=lambda number: attempt(number, number > 10))
    monkeypatch.setattr(collect, "_recorder", lambda: fake)


def test_a_slot_tries_its_candidates_in_order_until_one_succeeds(recorder, tmp_path):
    path = tmp_path / "parts" / "train-00003.parquet"
    collect._record_slot(collect.Slot("train", 3, (7, 4, 12, 13)), path)
    tried = json.loads(pq.read_schema(path).metadata[b"attempts"])
    assert [(a["episode_id"], a["success"]) for a in tried] == [(7, False), (4, False), (12, True)]
    assert [e["episode_id"] for e in shards.read(path)] == [12]


def test_a_slot_without_success_is_one_error_that_names_the_stage(recorder, tmp_path):
    path = tmp_path / "train-00003.parquet"
    with pytest.raises(UnblindError, match="train-00003 failed 2 times, last at 'lift'") as caught:
        collect._record_slot(collect.Slot("train", 3, (7, 4)), path)
    assert "demos.attempts_per_slot" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_counts_by_object_and_stage_add_up():
    log = [attempt(n, n % 3 == 0).summary() for n in range(9)]
    log.append({"object": "travel cup", "success": False, "failed_stage": "outcome"})
    counts = manifests.tally(log)
    assert (counts["attempts"], counts["successes"]) == (10, 3)
    assert counts["by_object"] == {
        "carrot": {"attempts": 9, "successes": 3, "failures": {"lift": 6}},
        "travel cup": {"attempts": 1, "successes": 0, "failures": {"outcome": 1}},
    }


class Stopped(Exception):
    """The work would begin now."""


@pytest.mark.parametrize("change", ["seed", "code", "nothing"])
def test_work_of_other_settings_or_code_is_thrown_away(change, config, tmp_path, monkeypatch):
    def stop(*_):
        raise Stopped

    monkeypatch.setattr(collect, "_fill_shards", stop)
    with pytest.raises(Stopped):
        collect.collect(config, tmp_path, 1)
    old = [tmp_path / name for name in ("train-00000.parquet", "parts/train-00002.parquet")]
    for path in old:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"done")
    if change == "seed":
        config = load(commands.SMOKE, SIZES | {"seed": 1})
    if change == "code":
        monkeypatch.setattr(collect, "code_hash", lambda *_, **__: "newer")
    with pytest.raises(Stopped):
        collect.collect(config, tmp_path, 1)
    assert [path.exists() for path in old] == [change == "nothing"] * 2


# ---- a folder of released files that is not whole ---------------------------------------------

BEAR = f"{made_up_release.folder_of('more_carrot', 'toy bear', 10)}/textured.glb"
DESK = "carrot/more_table/imgs/016_coloful desk.png"


def of_folder(folder, action="skip", **changes):
    values = {"catalog": str(folder), "catalog_missing": action, "demos.successes": 40}
    values |= {"demos.held_out_per_object": 1, "base.warm_up_episodes": 16}
    return load(commands.SMOKE, values | changes)


@pytest.fixture
def recorded(monkeypatch):
    """Record in this process, with a made-up recorder; return the ids that were tried."""
    tried = []

    def fill(config, which, out, plan, n_workers):
        for name, slots in plan.items():
            parts = [collect._part(out / "parts", slot) for slot in slots]
            for slot, part in zip(slots, parts, strict=True):
                collect._record_slot(slot, part)
            shards.assemble(out / name, parts)

    def record(number):
        tried.append(number)
        return attempt(number, True)

    monkeypatch.setattr(collect, "_recorder", lambda: SimpleNamespace(attempt=record))
    monkeypatch.setattr(collect, "_fill_shards", fill)
    return tried


@pytest.mark.parametrize("which", ["training", "warm-up"])
def test_missing_files_stop_before_anything_is_collected(recorded, made_up_assets, tmp_path, which):
    (made_up_assets / BEAR).unlink()
    with pytest.raises(UnblindError, match=rf"\(in_distribution \d+\) without .*{BEAR} \(copy"):
        collect.collect(of_folder(made_up_assets, "stop"), tmp_path / "set", 1, which)
    assert recorded == [] and not (tmp_path / "set").exists()


def test_slots_of_an_absent_object_stay_empty_and_are_counted(recorded, made_up_assets, tmp_path):
    (made_up_assets / BEAR).unlink()
    config = of_folder(made_up_assets)
    with pytest.warns(Note) as notes:
        collect.collect(config, tmp_path, 1)
    # 40 training slots are 2 rounds of 16 objects and 8 more: the tenth comes twice, and once more.
    assert [str(one.message) for one in notes][-1] == (
        "3 of 56 demonstrations left out: toy bear 3"
    )
    wanted = [s.candidates[0] for s in collect.plan_slots(config)]
    objects = {number: decode("in_distribution", number, "train").object for number in wanted}
    assert recorded == [number for number in wanted if objects[number] != "toy bear"]
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["successes"] == len(recorded) == 53
    assert manifest["not_collected"] == {
        "slots": {"toy bear": 3}, "candidates_of_other_slots": 0, "files": [BEAR],
    }  # fmt: skip
    meta = provenance.read(tmp_path / "manifest.json")
    assert len(meta["inputs"]) == 1 and next(iter(meta["inputs"])).endswith(BEAR)


@pytest.mark.filterwarnings("ignore::unblind.errors.Note")
def test_candidates_at_an_absent_table_are_struck_and_counted(recorded, made_up_assets, tmp_path):
    (made_up_assets / DESK).unlink()
    config = of_folder(made_up_assets)
    collect.collect(config, tmp_path, 1)
    tables = {decode("in_distribution", number, "train").table for number in recorded}
    assert "coloful desk" not in tables
    # The 40 pairs of the training slots are at the first three tables: no slot stays empty.
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    struck = [
        number
        for slot in collect.plan_slots(config)
        for number in slot.candidates
        if decode("in_distribution", number, "train").table == "coloful desk"
    ]
    lost = manifest["not_collected"]
    assert lost["slots"] == {} and lost["candidates_of_other_slots"] == len(struck) > 0
    assert manifest["successes"] == 56


@pytest.mark.filterwarnings("ignore::unblind.errors.Note")
def test_a_set_is_outdated_when_the_folder_changes(recorded, made_up_assets, tmp_path):
    whole = (made_up_assets / BEAR).read_bytes()
    (made_up_assets / BEAR).write_bytes(b"damaged")
    config = of_folder(made_up_assets)
    collect.collect(config, tmp_path, 1)
    recorded.clear()
    collect.collect(config, tmp_path, 1)
    assert recorded == [], "the set stands"
    (made_up_assets / BEAR).write_bytes(whole)
    collect.collect(config, tmp_path, 1)
    assert len(recorded) == 56
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert "not_collected" not in manifest


def test_without_the_training_plate_there_is_nothing_to_collect(recorded, made_up_assets, tmp_path):
    plate = made_up_release.folder_of("more_plate", "plate", 1)
    (made_up_assets / plate / "collision.obj").unlink()
    with (
        pytest.warns(Note),
        pytest.raises(UnblindError, match="lacks files for every demonstration"),
    ):
        collect.collect(of_folder(made_up_assets), tmp_path / "set", 1)
    assert not (tmp_path / "set").exists()


def test_a_survey_leaves_blocked_episodes_out(made_up_assets, monkeypatch):
    @contextlib.contextmanager
    def pool(*_):
        yield SimpleNamespace(map=lambda _, numbers: [attempt(n, True).summary() for n in numbers])

    monkeypatch.setattr(collect, "_pool", pool)
    (made_up_assets / BEAR).unlink()
    with pytest.warns(Note):
        counts = collect.survey(of_folder(made_up_assets), 2, 1)
    assert counts["attempts"] == 2 * 15
    with pytest.raises(UnblindError, match="cannot run 2 episodes"):
        collect.survey(of_folder(made_up_assets, "stop"), 2, 1)


# ---- with the simulator -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference(config, tmp_path_factory, renderer):
    """Six demonstrations in three shards, made by one worker without interruption."""
    out = tmp_path_factory.mktemp("demos") / "set"
    collect.collect(config, out, 1)
    return out


def test_the_manifest_describes_the_shards(config, reference):
    names = sorted(content(reference))
    assert names == [
        "manifest.json",
        "settings.json",
        *(f"train-{n:05d}.parquet" for n in (0, 1, 2)),
    ]
    manifest = json.loads((reference / "manifest.json").read_text())
    rows = manifest["by_object"].values()
    failures = sum(sum(row["failures"].values()) for row in rows)
    assert manifest["successes"] == sum(row["successes"] for row in rows) == 6
    assert manifest["attempts"] == sum(row["attempts"] for row in rows) == 6 + failures
    assert provenance.read(reference / "manifest.json")["seed"] == config.seed

    episodes = shards.load(reference, "train")
    slots = collect.plan_slots(config)
    assert [e["episode_id"] for e in episodes] == manifest["episodes"]["train"]
    for episode, slot in zip(episodes, slots, strict=True):
        assert episode["episode_id"] in slot.candidates
        wanted = decode("in_distribution", episode["episode_id"], "train")
        assert episode["instruction"] == wanted.instruction
    assert manifest["frames"]["raw"] == sum(len(e["actions"]) for e in episodes)
    assert 0 < manifest["frames"]["kept"] <= manifest["frames"]["raw"]


def test_every_step_has_a_picture_an_action_and_a_stage(reference):
    for episode in shards.load(reference, "train"):
        steps = len(episode["images"])
        assert 15 < steps <= 80
        assert episode["actions"].shape == episode["executed"].shape == (steps, 7)
        np.testing.assert_array_equal(episode["actions"], episode["executed"])  # no noise
        assert set(np.unique(episode["actions"][:, 6])) == {-1.0, 1.0}
        order = list(dict.fromkeys(episode["stages"]))
        assert order == ["reach", "grasp", "close", "lift", "carry", "release"]
        pngs = [np.frombuffer(episode["images"][i], np.uint8) for i in (0, -1)]
        first, last = (cv2.imdecode(png, cv2.IMREAD_UNCHANGED) for png in pngs)
        assert first.shape == (48, 64, 3) and first.dtype == np.uint8
        assert (first != last).any()


def test_killed_and_continued_by_two_workers_gives_the_same_bytes(reference, tmp_path):
    out = tmp_path / "set"
    finished = lambda: sorted([*out.glob("parts/train-*"), *out.glob("train-*")])  # noqa: E731
    commands.kill_when(lambda _: finished(), commands.start(*words(out, 2)))
    kept = {path: path.stat().st_mtime_ns for path in finished()}
    episodes = sum(1 if path.parent.name == "parts" else 2 for path in kept)
    assert 1 <= episodes < 6
    assert not (out / "manifest.json").exists()

    done = commands.run(*words(out, 2))
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"training demonstrations: {6 - episodes} to do")
    for path, written in kept.items():
        assert path.parent.name == "parts" or path.stat().st_mtime_ns == written
    assert content(out) == content(reference)


def test_a_kill_during_the_workers_start_leaves_no_worker(tmp_path):
    # The tracker of multiprocessing's resources is the other child.
    process = commands.start(*words(tmp_path / "set", 1))
    commands.kill_when(lambda seen: len(seen.children()) == 2, process)


def test_deleted_and_damaged_shards_are_made_again_with_the_same_bytes(
    config, reference, tmp_path, capsys
):
    out = shutil.copytree(reference, tmp_path / "set")
    (out / "train-00000.parquet").unlink()
    damaged = out / "train-00001.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    kept = (out / "train-00002.parquet").stat()
    collect.collect(config, out, 1)
    assert capsys.readouterr().err.startswith("training demonstrations: 4 to do")
    assert content(out) == content(reference)
    assert (out / "train-00002.parquet").stat().st_mtime_ns == kept.st_mtime_ns
