"""Which episodes a folder of released files does not suffice for, with a made-up release."""

import shutil
from pathlib import Path

import commands
import made_up_release
import pytest

from unblind.config import load
from unblind.errors import Note, UnblindError
from unblind.sim import blocked, conditions
from unblind.sim.episodes import decode, sample_ids


def sample(n=40, seed=3):
    """Episodes of every condition."""
    return {
        one.name: [decode(one.name, number, one.split) for number in sample_ids(one.name, n, seed)]
        for one in conditions.CONDITIONS
    }


def using(episodes, fields, value):
    """Ids of episodes, by condition, that have the value in one of the fields."""
    return {
        name: {e.episode_id for e in chosen if value in [getattr(e, field) for field in fields]}
        for name, chosen in episodes.items()
    }


def ids(found):
    return {name: set(numbers) for name, numbers in found.items()}


POTATO = made_up_release.folder_of("more_carrot", "potato", 20)
ONION = made_up_release.folder_of("more_carrot", "onion", 24)
BREAD = made_up_release.folder_of("more_carrot", "bread", 3)
PIZZA = made_up_release.folder_of("more_plate", "pizza", 8)
PLATE = made_up_release.folder_of("more_plate", "plate", 1)


@pytest.mark.parametrize(
    ("path", "fields", "value"),
    [
        (f"{POTATO}/textured.glb", ("object", "distractor"), "potato"),
        (f"{ONION}/collision.obj", ("object", "distractor"), "onion"),
        (f"{PIZZA}/textured.glb", ("plate", "distractor_plate"), "pizza"),
        (f"{PLATE}/collision.obj", ("plate", "distractor_plate"), "plate"),
        ("carrot/more_table/imgs/018_green table.png", ("table",), "green table"),
        ("carrot/more_table/textures/009.png", ("texture",), "009.png"),
    ],
)
@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_file_blocks_the_episodes_that_use_it_and_no_other(
    made_up_assets, path, fields, value, damage
):
    place, episodes = made_up_assets / path, sample()
    assert blocked.find(str(made_up_assets), episodes) == {name: {} for name in episodes}
    place.unlink() if damage == "missing" else place.write_bytes(place.read_bytes() + b"x")
    found = blocked.find(str(made_up_assets), episodes)
    assert ids(found) == using(episodes, fields, value)
    assert sum(map(len, found.values())) > 0
    assert {files for numbers in found.values() for files in numbers.values()} == {(path,)}


def test_all_files_of_an_episode_are_named_and_each_place_once(made_up_assets):
    lost = [f"{BREAD}/collision.obj", f"{BREAD}/textured.glb", f"{PIZZA}/textured.glb"]
    for path in lost:
        (made_up_assets / path).unlink()
    episodes = [e for e in sample(400)["multi_plate"] if e.object == "bread"]
    found = blocked.find(str(made_up_assets), {"multi_plate": episodes})["multi_plate"]
    pizzas = {e.episode_id for e in episodes if "pizza" in (e.plate, e.distractor_plate)}
    assert {number for number, files in found.items() if len(files) == 3} == pizzas != set()
    assert {files for n, files in found.items() if n not in pizzas} == {tuple(lost[:2])}
    assert blocked.paths("assets", found) == [Path("assets", path) for path in sorted(lost)]


def test_a_built_in_catalog_is_whole_and_nothing_is_looked_at():
    def episodes():
        raise AssertionError("decoded for nothing")
        yield

    assert blocked.find("builtin", {"carrot": episodes()}) == {"carrot": {}}


def test_a_folder_without_its_lists_is_one_error(made_up_assets):
    (made_up_assets / "carrot/more_plate/model_db.json").unlink()
    with pytest.raises(UnblindError, match=r"more_plate/model_db\.json is missing"):
        blocked.find(str(made_up_assets), {"carrot": [decode("carrot", 0)]})


def settings(folder, action):
    return load(commands.SMOKE, {"catalog": str(folder), "catalog_missing": action})


def test_stop_names_files_conditions_and_counts_in_one_line(made_up_assets):
    (made_up_assets / f"{POTATO}/textured.glb").unlink()
    found = {"carrot": {7: (f"{POTATO}/textured.glb",)}, "plate": {}}
    with pytest.raises(UnblindError) as caught:
        blocked.stop_or_note(settings(made_up_assets, "stop"), found)
    assert str(caught.value) == (
        "cannot run 1 episode (carrot 1) without files that are missing or changed in "
        f"{made_up_assets}: {POTATO}/textured.glb (copy them unchanged from the authors' release, "
        "or set catalog_missing to 'skip')"
    )


def test_of_many_files_and_conditions_the_first_few_are_named(made_up_assets):
    shutil.rmtree(made_up_assets / "carrot/more_carrot")
    config = settings(made_up_assets, "skip")
    found = {f"condition_{k}": {n: (f"file {k}{n}",) for n in range(k)} for k in range(7)}
    with pytest.warns(Note) as told:
        blocked.stop_or_note(config, found)
    (text,) = (str(one.message) for one in told)
    assert text == (
        "left out 21 episodes (condition_1 1, condition_2 2, condition_3 3, condition_4 4 and 2 "
        f"more) without files that are missing or changed in {made_up_assets}: file 10, file 20, "
        "file 21, file 30 and 17 more"
    )


@pytest.mark.parametrize("action", ["stop", "skip"])
def test_of_a_whole_folder_nothing_is_said(made_up_assets, action, recwarn):
    found = blocked.find(str(made_up_assets), sample(5))
    blocked.stop_or_note(settings(made_up_assets, action), found)
    assert [str(one.message) for one in recwarn if one.category is Note] == []


@pytest.mark.parametrize("condition", ["multi_carrot", "multi_plate", "texture_05", "whole_03"])
def test_an_episode_needs_the_files_that_it_is_said_to_need(renderer, made_up_assets, condition):
    """With them alone it is built and drawn; without any one of them it is not."""
    from unblind.sim.env import PutOnPlateEnv
    from unblind.sim.released import ReleasedCatalog

    episode = decode(condition, sample_ids(condition, 1, 4)[0])
    needed = ReleasedCatalog(made_up_assets).files(episode)
    assert len(set(needed)) == len(needed) == {"m": 7, "t": 6, "w": 6}[condition[0]]
    for path in made_up_assets.rglob("*.*"):
        name = path.relative_to(made_up_assets).as_posix()
        if path.name != "model_db.json" and name not in needed:
            path.unlink()
    env = PutOnPlateEnv(catalog=str(made_up_assets), width=64, height=48, episode=episode)
    assert env.reset()[0]["image"].shape == (1, 48, 64, 3)
    env.close()
    for number, path in enumerate(needed):
        copy = shutil.copytree(made_up_assets, made_up_assets.with_name(f"copy {number}"))
        (copy / path).unlink()
        assert blocked.find(str(copy), {condition: [episode]})[condition]
        with pytest.raises(UnblindError, match="is missing"):
            PutOnPlateEnv(catalog=str(copy), width=64, height=48, episode=episode)
