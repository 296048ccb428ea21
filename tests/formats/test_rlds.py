"""Reading RLDS: a set that TensorFlow wrote, and all the ways in which a set may be wrong."""

import json
import random
import resource
import shutil
from pathlib import Path

import golden
import numpy as np
import pytest

from unblind import files, png
from unblind.errors import UnblindError
from unblind.formats import example, rlds, tfrecord

SET = Path(__file__).parents[1] / "data" / "rlds" / golden.NAME
RECORDS = f"{golden.NAME}-train.tfrecord-00000-of-00001"


@pytest.fixture
def folder(tmp_path):
    """A copy of the set that TensorFlow wrote."""
    return Path(shutil.copytree(SET / "1.0.0", tmp_path / "set"))


def records(folder):
    return list(tfrecord.read(folder / RECORDS))


def rewrite(folder, written):
    with open(folder / RECORDS, "wb") as handle:
        for record in written:
            tfrecord.write(handle, record)


def change(folder, **values):
    """Replace values of the first record, None: take it away; its keys are ends of paths."""
    first, *others = records(folder)
    paths = [rlds.IMAGE, rlds.ACTION, rlds.INSTRUCTION, rlds.FILE_PATH]
    held = example.parse(first, paths)
    for name, value in values.items():
        path = next(path for path in paths if path.endswith(name))
        held |= {path: value(held[path]) if callable(value) else value}
    kept = {path: value for path, value in held.items() if value is not None}
    rewrite(folder, [example.serialise(kept), *others])


def refused(folder, words):
    with pytest.raises(UnblindError, match=words) as found:
        list(rlds.read(folder).episodes())
    assert found.value.remedy and "\n" not in str(found.value)
    return str(found.value)


# ---- what TensorFlow wrote --------------------------------------------------------------------


def test_a_set_that_tensorflow_wrote_is_read_as_it_was_made():
    source = rlds.read(SET)
    assert source.counts == {"train": golden.EPISODES}
    assert source.facts == {"name": golden.NAME, "version": "1.0.0"}
    episodes = list(source.episodes())
    assert [episode.file_path for episode in episodes] == [golden.file_path(n) for n in range(3)]
    for number, episode in enumerate(episodes):
        assert (episode.split, len(episode)) == ("train", golden.STEPS)
        assert episode.instruction == golden.instruction(number)
        assert episode.episode_id is None and episode.extras == {}
        wanted = np.stack([golden.action(number, step) for step in range(golden.STEPS)])
        assert episode.actions.dtype == np.float32
        np.testing.assert_array_equal(episode.actions, wanted)
        for step, image in enumerate(episode.images):
            assert image.startswith(b"\xff\xd8"), "JPEG as it was stored"
            error = png.decode(image).astype(int) - golden.picture(number, step)
            assert np.abs(error).max() <= 8


def test_its_checksums_are_tensorflows():
    """Written again, the very records of TensorFlow give the very file."""
    folder = SET / "1.0.0"
    with open(folder / RECORDS, "rb") as handle:
        whole = handle.read()
    lengths = [len(record) for record in records(folder)]
    info = json.loads((folder / rlds.INFO).read_text())
    assert sum(lengths) == int(info["splits"][0]["numBytes"]) == len(whole) - 16 * 3


def test_the_version_may_be_left_out_of_the_folder():
    assert rlds.is_rlds(SET) and rlds.is_rlds(SET / "1.0.0")
    assert not rlds.is_rlds(SET.parent)


# ---- what may be wrong ------------------------------------------------------------------------


@pytest.mark.parametrize("name", [rlds.INFO, rlds.FEATURES, RECORDS])
def test_a_missing_file(name, folder):
    (folder / name).unlink()
    assert f"cannot read {folder / name}" in refused(folder, "No such file")


@pytest.mark.parametrize("name", [rlds.INFO, rlds.FEATURES])
@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "[" * 10**5, '{"a": ' * 10**5, "\xff", "{}", '{"splits": 3}']
)
def test_documents_that_are_none(name, text, folder):
    (folder / name).write_text(text, encoding="latin-1")
    refused(folder, r"is not JSON|is no JSON object|describes no splits|has no steps/observation")


def test_a_document_of_any_size_is_not_read(folder):
    with open(folder / rlds.INFO, "wb") as handle:
        handle.truncate(1 << 40)
    refused(folder, "has more than 16777216 bytes")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("name", "../evil", "describes no splits"),
        ("name", 5, "describes no splits"),
        ("fileFormat", "array_record", "records are in 'array_record' .only 'tfrecord'"),
        ("splits", [{"name": "train", "shardLengths": []}], "announces no episode"),
        ("splits", [{"name": "../x", "shardLengths": ["3"]}], "describes no splits"),
        ("splits", [{"name": "train", "shardLengths": ["x"]}], "describes no splits"),
        ("splits", [{"name": "train", "shardLengths": ["3", "1"]}], "00000-of-00002"),
        ("splits", [{"name": "train", "shardLengths": ["2"]}], "has 3 records, .* announces 2"),
        ("splits", [{"name": "train", "shardLengths": ["4"]}], "has 3 records, .* announces 4"),
        (
            "splits",
            [{"name": "a", "shardLengths": ["3"], "filepathTemplate": "/etc/{SPLIT}"}],
            "describes no splits",
        ),
    ],
)
def test_what_the_info_may_say(key, value, words, folder):
    info = json.loads((folder / rlds.INFO).read_text())
    files.write_json(folder / rlds.INFO, info | {key: value})
    refused(folder, words)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"action"', '"actions"', "has no steps/action; it has episode_metadata/file_path, steps"),
        ('"image": {', '"image_0": {', "has no steps/observation/image; it has"),
        ('"7"', '"8"', "has another kind of steps/action"),
        ('"float32"', '"float64"', "has another kind of steps/action"),
        ('"7"', '"x"', "describes no features"),
    ],
)
def test_what_the_features_may_say(old, new, words, folder):
    text = (folder / rlds.FEATURES).read_text()
    (folder / rlds.FEATURES).write_text(text.replace(old, new, 1))
    refused(folder, words)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"action": None}, "has no steps/action"),
        ({"image": None}, "has no steps/observation/image"),
        ({"file_path": None}, "has no episode_metadata/file_path"),
        ({"image": []}, "holds no pictures"),
        ({"image": np.zeros(4, np.float32)}, "holds no pictures"),
        ({"image": lambda v: v[1:]}, "steps/action has 28 values, 21 are needed"),
        ({"image": [b"nonsense"] * 4}, "picture 0 is neither PNG nor JPEG"),
        ({"image": lambda v: [*v[:3], v[3][:-40]]}, "picture 3 cannot be decoded"),
        (
            {"image": lambda v: [*v[:3], png.encode(np.zeros((12, 16, 3), np.uint8))]},
            "picture 3 is png 16 x 12, others jpeg 16 x 12",
        ),
        ({"action": np.zeros(28, np.int64)}, "another type than float32"),
        ({"action": [b"x"]}, "another type than float32"),
        ({"action": np.full(28, np.nan, np.float32)}, "not finite"),
        ({"language_instruction": lambda v: [*v[:3], b"other"]}, "the instruction changes"),
        ({"language_instruction": [b"\xff"] * 4}, "can't decode"),
        ({"language_instruction": [b"x"]}, "has 1 values, 4 are needed"),
    ],
)
def test_what_a_record_may_hold(values, words, folder):
    change(folder, **values)
    line = refused(folder, words)
    assert line.startswith(f"{folder / RECORDS}, record 0: ")


# ---- whatever else ----------------------------------------------------------------------------


def damaged(data, rng):
    """Return the data with a few bytes changed, taken out, put in or moved."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(data) or 1)
        match rng.randrange(5):
            case 0:
                data[place : place + 1] = bytes([rng.randrange(256)])
            case 1:
                del data[place : place + rng.choice([1, 4, 50])]
            case 2:
                data[place:place] = rng.randbytes(rng.choice([1, 4, 50]))
            case 3:
                data[place : place + 9] = b"\xff" * 8 + b"\x01"
            case 4:
                data[place:] = data[place // 2 :]
    return bytes(data)


@pytest.mark.parametrize("what", ["file", "record", "info", "features"])
def test_any_damage_is_one_error_or_harmless(what, folder):
    """Seeded damage of the file, of records whose checksums hold, and of the documents."""
    rng, kept = random.Random(what), {path: path.read_bytes() for path in folder.iterdir()}
    path = folder / {"info": rlds.INFO, "features": rlds.FEATURES}.get(what, RECORDS)
    whole, outcomes = records(folder), []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(75):
        for name, data in kept.items():
            name.write_bytes(data)
        if what == "record":
            rewrite(folder, [damaged(record, rng) for record in whole])
        else:
            path.write_bytes(damaged(kept[path], rng))
        try:
            outcomes.append(all(_right(e) for e in rlds.read(folder).episodes()))
        except UnblindError as error:
            outcomes.append(bool(error.remedy) and len(str(error)) < 2000)
    assert all(outcomes)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 50_000, "kB, with files of 9 kB"


def _right(episode):
    """Whether an episode is whole, whatever it says."""
    assert episode.actions.shape == (len(episode), 7) and np.isfinite(episode.actions).all()
    assert all(png.decode(image).shape == (12, 16, 3) for image in episode.images)
    return isinstance(episode.instruction, str) and len(episode) > 0
