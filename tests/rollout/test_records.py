import json

import pyarrow.parquet as pq
import pytest

from unblind.errors import UnblindError
from unblind.rollout import records
from unblind.rollout.loop import Outcome
from unblind.sim.episodes import decode
from unblind.sim.success import MILESTONES, Milestones


def entry(number):
    milestones = Milestones(reached=True, grasped=True)
    outcome = Outcome(decode("carrot", number), milestones=milestones, steps=80)
    return records.row(outcome, "random", 3)


def test_a_row_tells_the_initial_state_and_how_it_went():
    # The release counts yaw fastest, then 784 places: id 5 is place 1 at 45 degrees.
    episode = decode("carrot", 5)
    row = entry(5)
    assert row.keys() == set(records.SCHEMA.names)
    assert (row["run"], row["seed"], row["condition"]) == ("random", 3, "carrot")
    assert (row["object"], row["yaw_deg"]) == ("travel cup", 45.0)
    assert (row["object_x"], row["object_y"], row["object_z"]) == episode.object_xyz
    assert row["third_x"] is None and row["distractor"] is None
    assert (row["success_any"], row["success_final"], row["steps"]) == (False, False, 80)
    assert [name for name in MILESTONES if row[name]] == ["reached", "grasped"]
    third = records.row(Outcome(decode("multi_carrot", 0)), "noop", 0)
    assert (third["third_x"], third["third_y"], third["third_z"]) == decode(
        "multi_carrot", 0
    ).third_xyz


def test_records_have_one_schema_and_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        records.write(tmp_path / name, [entry(5), entry(9)])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    table = pq.read_table(tmp_path / "a")
    assert table.schema.remove_metadata() == records.SCHEMA
    new = ("consecutive_grasp", "reached", "lifted", "over_plate", "released")
    assert {str(table.schema.field(name).type) for name in new} == {"bool"}
    assert table["episode_id"].to_pylist() == [5, 9]


@pytest.fixture
def journal(tmp_path):
    """A record's path and the journal of two of its episodes."""
    path = tmp_path / "rollouts" / "carrot.parquet"
    kept = records.Journal(path, "stamp")
    for number in (5, 9):
        kept.add(entry(number))
    return path, path.with_name(".carrot.journal")


def test_rows_survive(journal):
    path, _ = journal
    assert records.Journal(path, "stamp").rows == {5: entry(5), 9: entry(9)}


def test_rows_of_another_stamp_are_thrown_away(journal):
    path, file = journal
    assert records.Journal(path, "newer").rows == {}
    assert records.Journal(path, "stamp").rows == {}, "for good"
    assert len(file.read_text().splitlines()) == 1


@pytest.mark.parametrize("left", [1, 40, -2, -1])
def test_a_torn_last_line_costs_that_row_alone(journal, left):
    path, file = journal
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:2]) + lines[2][:left])
    continued = records.Journal(path, "stamp")
    assert continued.rows == {5: entry(5)}
    continued.add(entry(11))  # and is not glued to the torn line
    assert records.Journal(path, "stamp").rows == {5: entry(5), 11: entry(11)}


def test_a_torn_first_row_or_stamp_is_survived(journal):
    path, file = journal
    stamp, row, _ = file.read_bytes().splitlines(keepends=True)
    for remains in (stamp + row[:30], stamp, stamp[:5], b""):
        file.write_bytes(remains)
        continued = records.Journal(path, "stamp")
        assert continued.rows == {}
        continued.add(entry(11))
        assert list(records.Journal(path, "stamp").rows) == [11]
        assert [json.loads(line) for line in file.read_text().splitlines()][1:] == [entry(11)]


def test_removed_when_the_record_stands(journal):
    path, file = journal
    records.Journal(path, "stamp").remove()
    assert not file.exists()


def test_a_file_in_the_folders_place_is_one_error(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UnblindError, match="cannot write"):
        records.Journal(tmp_path / "out" / "carrot.parquet", "stamp")
