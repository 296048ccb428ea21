"""The files of a demonstration set, from made-up episodes: no simulator is needed."""

import json
from types import SimpleNamespace

import commands
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unblind import files
from unblind.config import load as load_config
from unblind.demos import collect, manifests, shards
from unblind.errors import UnblindError
from unblind.sim.episodes import decode
from unblind.study import jobs

PLACES = ("object_xyz", "plate_xyz", "gripper_xyz")


def rows(number, steps, seed=0):
    rng = np.random.default_rng([seed, number])
    actions = rng.uniform(-0.02, 0.02, (steps, 7)).astype(np.float32)
    actions[:, 6] = 1
    places = rng.uniform(-0.3, 1.0, (steps, 3, 3)).astype(np.float32)
    return [
        {
            "episode_id": number,
            "step": step,
            "image": b"png %d" % step,
            "action": action,
            "executed": action + np.float32(0.001),
            "instruction": f"put {number} on plate",
            "stage": "reach",
            **dict(zip(PLACES, places[step], strict=True)),
            "held": step % 2 == 1,
        }
        for step, action in enumerate(actions)
    ]


def write_part(path, number, steps, failed=()):
    """Write one episode; `failed` are the stages of the attempts before it."""
    outcomes = [*failed, None]
    log = [{"object": "carrot", "success": f is None, "failed_stage": f} for f in outcomes]
    table = pa.Table.from_pylist(rows(number, steps), schema=shards.SCHEMA)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({"attempts": json.dumps(log)}), path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Two shards of one and two episodes, one held-out, with their manifest."""
    plan = {"train-00000.parquet": (11, 12), "train-00001.parquet": (13,)}
    plan["held_out-00000.parquet"] = (14,)
    for name, numbers in plan.items():
        parts = [write_part(tmp_path / "parts" / f"{n}", n, n - 8, ["lift"]) for n in numbers]
        shards.assemble(tmp_path / name, parts)
    config = load_config(commands.SMOKE, {"demos.noop_filter": "none"})
    manifest = manifests.describe(config, jobs.settings(config, "demos"), tmp_path, list(plan))
    files.write_json(tmp_path / "manifest.json", manifest)
    return tmp_path


def test_slots_are_dealt_to_shards_by_split_and_number():
    slots = [SimpleNamespace(split="train", number=n) for n in range(5)]
    slots += [SimpleNamespace(split="held_out", number=n) for n in range(2)]
    plan = shards.group(slots, 2)
    assert {name: [s.number for s in group] for name, group in plan.items()} == {
        "train-00000.parquet": [0, 1],
        "train-00001.parquet": [2, 3],
        "train-00002.parquet": [4],
        "held_out-00000.parquet": [0, 1],
    }


def test_what_was_written_is_read(folder):
    assert list((folder / "parts").iterdir()) == [], "assembled parts are removed"
    episodes = shards.read(folder / "train-00000.parquet")
    assert [e["episode_id"] for e in episodes] == [11, 12]
    for episode in episodes:
        written = rows(episode["episode_id"], episode["episode_id"] - 8)
        assert episode["instruction"] == written[0]["instruction"]
        assert episode["images"] == [row["image"] for row in written]
        assert episode["stages"] == ["reach"] * len(written)
        columns = {"actions": "action", "executed": "executed"} | {key: key for key in PLACES}
        for key, column in columns.items():
            assert episode[key].dtype == np.float32
            np.testing.assert_array_equal(episode[key], [row[column] for row in written])
        assert episode["held"].dtype == bool
        assert episode["held"].tolist() == [row["held"] for row in written]
        without = shards.read(folder / "train-00000.parquet", images=False)[0]
        assert without["images"] == [] and len(without["held"]) == 11 - 8


def test_the_same_parts_give_the_same_bytes(tmp_path):
    sums = []
    for name in ("a", "b"):
        parts = [write_part(tmp_path / name / f"{n}", n, 4) for n in (1, 2)]
        shards.assemble(tmp_path / name / "shard", parts)
        sums.append(files.sha256(tmp_path / name / "shard"))
    assert sums[0] == sums[1]


def test_the_manifest_counts_attempts_frames_and_training_statistics(folder):
    manifest = shards.load_manifest(folder)
    assert (manifest["attempts"], manifest["successes"]) == (8, 4)
    assert manifest["by_object"]["carrot"]["failures"] == {"lift": 4}
    assert manifest["episodes"] == {"train": [11, 12, 13], "held_out": [14]}
    assert manifest["frames"] == {"raw": 3 + 4 + 5 + 6, "kept": 3 + 4 + 5 + 6}
    assert {n: files.sha256(folder / n) for n in manifest["shards"]} == manifest["shards"]
    # Normalisation must not have seen the held-out part.
    training = np.concatenate([[row["action"] for row in rows(n, n - 8)] for n in (11, 12, 13)])
    np.testing.assert_allclose(manifest["statistics"]["maximum"], training.max(0))
    np.testing.assert_allclose(manifest["statistics"]["minimum"], training.min(0))


def test_quantiles_are_interpolated_as_numpy_does():
    # 101 values 0..100: the 1st percentile is the value 1, the 99th is 99.
    column = np.arange(101, dtype=np.float32)[:, None]
    found = manifests.action_statistics(np.repeat(column, 7, axis=1))
    assert found == {
        "q01": pytest.approx([1] * 7),
        "q99": pytest.approx([99] * 7),
        "minimum": [0] * 7,
        "maximum": [100] * 7,
    }


def test_there_are_no_statistics_of_nothing():
    with pytest.raises(UnblindError, match="no action is left"):
        manifests.action_statistics(np.zeros((0, 7), np.float32))


def test_a_split_is_loaded_alone_and_in_order(folder):
    assert [e["episode_id"] for e in shards.load(folder, "train")] == [11, 12, 13]
    assert [e["episode_id"] for e in shards.load(folder, "held_out")] == [14]


def test_a_missing_or_changed_shard_is_one_error_that_says_what_to_do(folder):
    path = folder / "train-00001.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(UnblindError, match=r"train-00001.parquet differs from its manifest \(del"):
        shards.load(folder, "train")
    assert len(shards.load(folder, "held_out")) == 1, "the other split is whole"
    path.unlink()
    with pytest.raises(UnblindError, match=r"train-00001.parquet is missing"):
        shards.load(folder, "train")


@pytest.mark.parametrize("damage", [b"", b"PAR1 no parquet PAR1", None])
def test_a_file_that_is_no_shard_is_one_error(folder, damage):
    path = folder / "train-00000.parquet"
    path.write_bytes(path.read_bytes()[:-40] if damage is None else damage)
    with pytest.raises(UnblindError, match="unreadable"):
        shards.read(path)
    config = load_config(commands.SMOKE)
    with pytest.raises(UnblindError, match="unreadable"):
        manifests.describe(config, jobs.settings(config, "demos"), folder, [path.name])


@pytest.mark.parametrize("text", [None, "", "{", "[]", "3", '{"shards": {}}'])
def test_a_manifest_that_is_none_is_one_error(tmp_path, text):
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UnblindError, match=r"no readable manifest\.json in .*unblind demos"):
        shards.load_manifest(tmp_path)


def test_a_pair_of_positions_is_used_once():
    ids = list(range(0, 40))
    places = [decode("in_distribution", number).place_index for number in ids]
    distinct = collect.distinct_places(ids)
    assert [decode("in_distribution", i).place_index for i in distinct] == sorted(set(places))
    assert distinct == [places.index(place) for place in sorted(set(places))]
