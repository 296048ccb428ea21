"""Artifacts are made once, with sidecars; what an interruption leaves is used or thrown away."""

from dataclasses import replace

import pytest

from unblind.study import provenance
from unblind.study.making import Origin, continued, make


@pytest.fixture
def origin(tmp_path):
    source = tmp_path / "source"
    source.write_text("1")
    return Origin({"a": 1}, ("unblind.files",), (source,), 3)


def test_what_stands_is_not_made_again(tmp_path, origin):
    paths, beside = [tmp_path / "a", tmp_path / "b"], tmp_path / "c"
    calls = []

    def work():
        calls.append(1)
        for path in (*paths, beside):
            path.write_text(path.name)
        return {"note": "made"}

    assert make(paths, origin, work, [beside])
    assert not make(paths, origin, work, [beside])
    assert [provenance.read(path)["extra"] for path in paths] == [{"note": "made"}] * 2
    assert len(calls) == 1
    for damage in (paths[1].unlink, beside.unlink, lambda: paths[0].write_text("damaged")):
        damage()
        assert make(paths, origin, work, [beside])
    origin.inputs[0].write_text("2")
    assert make(paths, origin, work, [beside])
    assert make(paths, replace(origin, seed=4), work, [beside])
    assert len(calls) == 6


class Killed(Exception):
    """As good as a kill."""


def interrupt(folder, origin):
    """Train until the first checkpoint and snapshot, on features that are stored there."""
    with pytest.raises(Killed), continued(folder, origin):
        (folder / "checkpoint.safetensors").write_text("half")
        (folder / "snapshots").mkdir(exist_ok=True)
        (folder / "snapshots" / "000002.safetensors").write_text("early")
        (folder / "low").mkdir(exist_ok=True)
        (folder / "low" / "features.safetensors").write_text("of these pictures")
        (folder / "round-1").mkdir(exist_ok=True)
        (folder / "round-1" / "model.safetensors").write_text("a finished round")
        raise Killed


def left(folder):
    return sorted(path.name for path in folder.rglob("*") if path.suffix == ".safetensors")


def test_an_interrupted_training_goes_on_and_ends_without_checkpoint(tmp_path, origin):
    folder = tmp_path / "run"
    interrupt(folder, origin)
    with continued(folder, origin):
        assert left(folder) == [
            "000002.safetensors",
            "checkpoint.safetensors",
            "features.safetensors",
            "model.safetensors",
        ]
    assert left(folder) == ["000002.safetensors", "features.safetensors", "model.safetensors"]


def test_checkpoints_of_rounds_end_with_the_last_round(tmp_path, origin):
    with continued(tmp_path, origin):
        (tmp_path / "round-1").mkdir()
        for folder in (tmp_path, tmp_path / "round-1"):
            (folder / "checkpoint.safetensors").write_text("done")
            (folder / "model.safetensors").write_text("weights")
    assert (
        sorted(path.name for path in tmp_path.rglob("*.safetensors")) == ["model.safetensors"] * 2
    )


@pytest.mark.parametrize("change", ["settings", "input", "seed"])
def test_a_checkpoint_of_another_origin_is_thrown_away(tmp_path, origin, change):
    folder = tmp_path / "run"
    interrupt(folder, origin)
    other = origin
    if change == "settings":
        other = replace(origin, config={"a": 2})
    elif change == "seed":
        other = replace(origin, seed=4)
    else:
        origin.inputs[0].write_text("2")
    with continued(folder, other):
        assert left(folder) == []
