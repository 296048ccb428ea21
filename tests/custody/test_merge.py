"""Records of several machines in one results folder."""

import pytest

from unblind.custody.merge import merge
from unblind.errors import UnblindError
from unblind.study.provenance import record, sidecar_path


def shard(folder, name, content, run="default", seed=0):
    path = folder / "rollouts" / run / str(seed) / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    with record(path, config={"a": 1}, code=("unblind.files",), seed=seed):
        path.write_bytes(content)
    return path.relative_to(folder)


@pytest.fixture
def folders(tmp_path):
    return [tmp_path / name for name in ("one", "two", "results")]


def test_records_and_sidecars_come_together(folders):
    one, two, results = folders
    parts = [shard(one, "carrot", b"c"), shard(two, "plate", b"p")]
    parts.append(shard(two, "plate", b"q", seed=1))
    assert merge([one, two], results) == [results / part for part in parts]
    for source, part in zip((one, two, two), parts, strict=True):
        for path in (source / part, sidecar_path(source / part)):
            assert (results / path.relative_to(source)).read_bytes() == path.read_bytes()
    assert merge([one, two], results) == []


def test_the_same_record_twice_is_one(folders):
    one, two, results = folders
    part = shard(one, "carrot", b"c")
    shard(two, "carrot", b"c")
    assert merge([one, two], results) == [results / part]


@pytest.mark.parametrize("there", [True, False])
def test_an_overlap_is_refused_before_anything_is_copied(folders, there):
    one, two, results = folders
    shard(one, "aaa", b"first")
    shard(one, "carrot", b"c")
    other = results if there else two
    shard(other, "carrot", b"another")
    sources = [one] if there else [one, two]
    with pytest.raises(UnblindError, match="hold different records rollouts/default/0/carrot"):
        merge(sources, results)
    assert not list(results.rglob("aaa*"))


def test_a_damaged_record_stops_all(folders):
    one, _, results = folders
    part = shard(one, "carrot", b"c")
    (one / part).write_bytes(b"d")
    with pytest.raises(UnblindError, match=r"carrot.parquet is not what its sidecar says"):
        merge([one], results)
    sidecar_path(one / part).unlink()
    with pytest.raises(UnblindError, match=r"sidecar .* is missing"):
        merge([one], results)
    assert not results.exists()


def test_a_folder_without_records_is_named(folders):
    one, _, results = folders
    with pytest.raises(UnblindError, match="one holds no records in rollouts, think"):
        merge([one], results)
