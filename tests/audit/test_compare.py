import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import studies
import synthetic

from unblind.audit import build, compare
from unblind.errors import UnblindError

RUNS = list(studies.FINALS)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    config = studies.settings(tmp_path_factory.mktemp("ours") / "results")
    for run in RUNS:
        place = Path(config.results, "rollouts", run, "0")
        synthetic.write_records(config, run, 0, place, studies.FINALS[run])
    return config


@pytest.fixture(scope="module")
def evidence(ours):
    return build.evidence(ours)


@pytest.fixture
def theirs(ours, tmp_path):
    """Somebody else's records: the same files without sidecars."""
    folder = tmp_path / "theirs"
    shutil.copytree(Path(ours.results), folder, ignore=shutil.ignore_patterns("*.meta.json"))
    return folder


def place(theirs, run="align", condition="carrot"):
    return theirs / "rollouts" / run / "0" / f"{condition}.parquet"


def cells(evidence, theirs):
    return {cell.record: cell for cell in compare.compare(evidence, RUNS, theirs)}


def change(path, columns):
    table = pq.read_table(path)
    for name, values in columns.items():
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, pa.array(values))
    pq.write_table(table, path)


def test_the_same_records(evidence, theirs):
    found = cells(evidence, theirs)
    assert len(found) == 3 * 14
    assert {cell.status for cell in found.values()} == {"same"}
    said = compare.report(list(found.values()))
    assert "records: 42 same" in said
    assert f"episodes: {42 * 16} of {42 * 16} with the same outcome (100.0 %)" in said


def test_the_folder_of_records_itself_will_do(evidence, theirs):
    assert len(cells(evidence, theirs / "rollouts")) == 3 * 14


def test_changed_missing_and_extra_records(evidence, theirs):
    # Of 16 episodes the first 8 succeed: now 9, the ninth at the last step alone did not.
    change(place(theirs), {"success_final": [i < 9 for i in range(16)]})
    place(theirs, "freeze", "plate").unlink()
    shutil.copy(place(theirs), theirs / "rollouts" / "align" / "0" / "other.parquet")
    change(place(theirs, "default"), {"episode_id": list(range(1, 17))})
    found = cells(evidence, theirs)
    changed = found["align/0/carrot"]
    assert (changed.status, changed.n, changed.agree) == ("changed", 16, 15)
    assert (changed.ours, changed.theirs) == (8, 9)
    assert (changed.ours_alone, changed.theirs_alone) == (0, 1)
    assert "success_final 15, success_any 16, reached 16, grasped 16" in changed.detail
    assert found["freeze/0/plate"].status == "missing"
    assert found["align/0/other"].status == "extra"
    # Of Default's the first 8 of 16 succeed, too; theirs have moved on by one.
    other = found["default/0/carrot"]
    assert (other.status, other.n) == ("other episodes", 15)
    assert (other.ours_alone, other.theirs_alone) == (0, 1)
    assert sum(cell.status == "same" for cell in found.values()) == 42 - 3


def test_an_empty_record_is_none_to_refuse(evidence, theirs):
    """All its episodes may lack files of the catalog."""
    pq.write_table(pq.read_table(place(theirs)).slice(0, 0), place(theirs))
    cell = cells(evidence, theirs)["align/0/carrot"]
    assert (cell.status, cell.n) == ("other episodes", 0)
    assert cell.detail == "0 episodes of ours 16 and theirs 0 are shared"


def huge(path, patch):
    patch.setattr(compare, "LIMIT_BYTES", 1000)
    return "more than 1,000 bytes"


def endless(path, patch):
    patch.setattr(compare, "LIMIT_ROWS", 15)
    return "16 episodes: more than 15"


def bomb(path, patch):
    patch.setattr(compare, "LIMIT_UNPACKED", 100)
    return "unpacks to"


def no_parquet(path, patch):
    path.write_bytes(b"PAR1 and nothing else PAR1")
    return "no Parquet file"


def link(path, patch):
    path.unlink()
    path.symlink_to("/etc/passwd")
    return "a link to elsewhere"


def folder(path, patch):
    path.unlink()
    path.mkdir()
    return "no file"


def nested(path, patch):
    change(path, {"steps": [[80]] * 16})
    return "columns of columns"


def hole(path, patch):
    change(path, {"steps": [None] + [80] * 15})
    return "lacks values of steps"


def twin(path, patch):
    change(path, {"episode_id": [0] * 16})
    return "holds an episode twice"


def text(path, patch):
    change(path, {"success_any": ["<script>"] * 16})
    return "something else than true or false as success_any"


def other_run(path, patch):
    change(path, {"run": ["default"] * 16})
    return "another run than 'align'"


def no_column(path, patch):
    pq.write_table(pq.read_table(path).drop(["steps"]), path)
    return "lacks the columns steps"


DAMAGES = (huge, endless, bomb, no_parquet, link, folder, nested, hole, twin, text, other_run)


@pytest.mark.parametrize("damage", (*DAMAGES, no_column))
def test_a_bad_record_is_named_and_refused(evidence, theirs, damage, monkeypatch):
    words = damage(place(theirs), monkeypatch)
    cell = cells(evidence, theirs)["align/0/carrot"]
    assert cell.status == "refused"
    assert words in cell.detail
    assert "align/0/carrot" in compare.report([cell])


def test_a_folder_of_folders_is_refused(evidence, theirs, monkeypatch):
    monkeypatch.setattr(compare, "LIMIT_FILES", 10)
    with pytest.raises(UnblindError, match="holds more than 10 files"):
        cells(evidence, theirs)
    with pytest.raises(UnblindError, match="is no folder"):
        cells(evidence, theirs / "nowhere")


def test_names_of_others_cannot_write_to_the_terminal(evidence, theirs):
    (theirs / "rollouts" / "\x1b[31mred.parquet").write_text("")
    assert "\\x1b[31mred" in cells(evidence, theirs)
