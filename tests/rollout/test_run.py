"""Records of a run: which are made, from what, and that an interruption costs little."""

import commands
import made_up_release
import pandas as pd
import pytest
import sizes
from synthetic import CrewStandIn

from unblind.config import load
from unblind.errors import Note, UnblindError
from unblind.files import sha256
from unblind.report.records import load_cell, not_run
from unblind.rollout import run
from unblind.rollout.loop import Crew, Outcome
from unblind.sim import blocked
from unblind.sim.conditions import CONDITIONS, get
from unblind.study import provenance

THREE = ["in_distribution", "carrot", "position_change_to"]


def content(folder):
    return {path.stem: path.read_bytes() for path in folder.glob("*.parquet")}


# ---- bookkeeping, with made-up episodes -------------------------------------------------------


class Interrupted(Exception):
    """As good as a kill: nothing of the call runs after it."""


@pytest.fixture
def crew(monkeypatch):
    """Replace the workers: episodes end at once, last one first; `left` may stop them."""

    class FakeCrew(CrewStandIn):
        ran: list = []  # noqa: RUF012
        left = None

        def run(self, episodes):
            for episode in reversed(episodes):
                if FakeCrew.left == 0:
                    raise Interrupted
                FakeCrew.left = FakeCrew.left and FakeCrew.left - 1
                FakeCrew.ran.append((episode.condition, episode.episode_id))
                yield Outcome(episode, success_any=episode.episode_id % 2 == 0, steps=80)

    monkeypatch.setattr(run, "Crew", FakeCrew)
    return FakeCrew


@pytest.fixture
def config():
    return load(commands.SMOKE, sizes.episodes(5))


def ids(config, name, seed=0):
    return [e.episode_id for e in run.evaluation_episodes(config, name, seed)]


def test_all_policies_face_the_same_episodes_in_the_same_order(crew, config, tmp_path):
    found = {}
    for name in ("oracle", "random", "noop"):
        run.rollout(config, name, 0, tmp_path / name, None, 1)
        frames = [pd.read_parquet(tmp_path / name / f"{c.name}.parquet") for c in CONDITIONS]
        found[name] = [list(frame["episode_id"]) for frame in frames]
        assert {frame["run"][0] for frame in frames} == {name}
    assert found["oracle"] == found["random"] == found["noop"]
    assert found["oracle"] == [ids(config, c.name) for c in CONDITIONS]
    assert all(len(set(listed)) == 5 for listed in found["oracle"])


def test_seeds_draw_their_own_episodes_and_fewer_are_a_prefix(config):
    fewer = load(commands.SMOKE, sizes.episodes(3))
    for name in THREE:
        assert ids(fewer, name) == ids(config, name)[:3]
        assert not set(ids(config, name)) & set(ids(config, name, seed=1))
        split = {e.split for e in run.evaluation_episodes(config, name, 0)}
        assert split == {get(name).split}


def test_the_gates_condition_has_a_number_of_its_own(crew, tmp_path):
    config = load(commands.SMOKE, {"rollout.episodes": 2, "rollout.in_distribution_episodes": 6})
    run.rollout(config, "random", 0, tmp_path, THREE, 1)
    counts = {name: len(pd.read_parquet(tmp_path / f"{name}.parquet")) for name in THREE}
    assert counts == {"in_distribution": 6, "carrot": 2, "position_change_to": 2}
    assert ids(config, "in_distribution")[:2] == ids(
        load(commands.SMOKE, sizes.episodes(2)), THREE[0]
    )


def test_only_records_that_do_not_stand_are_made(crew, config, tmp_path):
    run.rollout(config, "random", 0, tmp_path, THREE, 1)
    before = content(tmp_path)
    assert sorted(before) == sorted(THREE)
    crew.ran.clear()
    run.rollout(config, "random", 0, tmp_path, THREE, 1)
    assert crew.ran == []
    (tmp_path / "carrot.parquet").unlink()
    run.rollout(config, "random", 0, tmp_path, THREE, 1)
    assert {name for name, _ in crew.ran} == {"carrot"}
    assert content(tmp_path) == before
    assert list(tmp_path.glob(".*")) == [], "no journal and nothing temporary is left"


@pytest.mark.parametrize("change", ["settings", "code", "seed", "bytes"])
def test_a_record_of_something_else_is_made_again(crew, config, tmp_path, monkeypatch, change):
    seed = 0
    run.rollout(config, "random", 0, tmp_path, ["carrot"], 1)
    crew.ran.clear()
    if change == "settings":
        config = load(commands.SMOKE, {**sizes.episodes(5), "rollout.max_steps": 79})
    elif change == "code":
        monkeypatch.setattr(provenance, "code_hash", lambda *_, **__: "newer")
    elif change == "seed":
        seed = 1
    else:
        (tmp_path / "carrot.parquet").write_bytes(b"damaged")
    run.rollout(config, "random", seed, tmp_path, ["carrot"], 1)
    assert sorted(crew.ran) == sorted(("carrot", number) for number in ids(config, "carrot", seed))
    assert list(pd.read_parquet(tmp_path / "carrot.parquet")["seed"]) == [seed] * 5


def test_finished_episodes_of_an_interrupted_call_are_kept(crew, config, tmp_path):
    run.rollout(config, "random", 0, tmp_path / "whole", THREE, 1)
    crew.ran.clear()
    crew.left = 7  # all five of the first condition and two of the second
    with pytest.raises(Interrupted):
        run.rollout(config, "random", 0, tmp_path / "cut", THREE, 1)
    assert list(content(tmp_path / "cut")) == ["in_distribution"]
    done, crew.left = list(crew.ran), None
    crew.ran.clear()
    run.rollout(config, "random", 0, tmp_path / "cut", THREE, 1)
    assert len(done) == 7 and not set(done) & set(crew.ran)
    assert len(crew.ran) == 3 * 5 - 7
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


@pytest.mark.parametrize("change", ["settings", "code", "run"])
def test_unfinished_work_of_something_else_is_not(crew, config, tmp_path, monkeypatch, change):
    crew.left = 2
    with pytest.raises(Interrupted):
        run.rollout(config, "random", 0, tmp_path, ["carrot"], 1)
    crew.left, name = None, "random"
    crew.ran.clear()
    if change == "settings":
        config = load(commands.SMOKE, {**sizes.episodes(5), "fidelity": "released"})
    elif change == "code":
        monkeypatch.setattr(run, "code_hash", lambda *_, **__: "newer")
    else:
        name = "noop"
    run.rollout(config, name, 0, tmp_path, ["carrot"], 1)
    assert len(crew.ran) == 5
    assert list(pd.read_parquet(tmp_path / "carrot.parquet")["run"]) == [name] * 5


def test_conditions_are_called_by_either_name(crew, config, tmp_path):
    run.rollout(config, "random", 0, tmp_path, ["PutOnPlateInScene25Carrot-v1"], 1)
    assert list(content(tmp_path)) == ["carrot"]
    with pytest.raises(UnblindError, match="unknown condition 'carot'"):
        run.rollout(config, "random", 0, tmp_path, ["carot"], 1)


# ---- a folder of released files that is not whole ------------------------------------------------

POTATO = f"{made_up_release.folder_of('more_carrot', 'potato', 20)}/textured.glb"


def of_folder(folder, action, **changes):
    values = {"catalog": str(folder), "catalog_missing": action, **sizes.episodes(40)}
    return load(commands.SMOKE, values | changes)


def potatoes(config):
    """Ids of the condition carrot, with and without a potato."""
    episodes = run.evaluation_episodes(config, "carrot", 0)
    lost = [e.episode_id for e in episodes if e.object == "potato"]
    assert 0 < len(lost) < len(episodes)
    return lost, [e.episode_id for e in episodes if e.episode_id not in lost]


@pytest.mark.parametrize("name", ["oracle", "random", "noop"])
def test_missing_files_stop_every_policy_before_anything_is_built(
    crew, made_up_assets, tmp_path, monkeypatch, name
):
    monkeypatch.setattr(run, "make_policy", None)
    (made_up_assets / POTATO).unlink()
    config, out = of_folder(made_up_assets, "stop"), tmp_path / "out"
    lost, _ = potatoes(config)
    problem = rf"cannot run {len(lost)} episodes \(carrot {len(lost)}\) .*{POTATO} \(copy them"
    with pytest.raises(UnblindError, match=problem):
        run.rollout(config, name, 0, out, THREE, 1)
    assert crew.ran == [] and not out.exists()


def test_a_whole_folder_makes_the_same_record_either_way(crew, made_up_assets, tmp_path):
    for action in ("stop", "skip"):
        run.rollout(of_folder(made_up_assets, action), "random", 0, tmp_path / action, THREE, 1)
    assert content(tmp_path / "stop") == content(tmp_path / "skip")
    meta = provenance.read(tmp_path / "skip" / "carrot.parquet")
    assert meta["inputs"] == {} and "not_run" not in meta["extra"]


def test_blocked_episodes_are_left_out_and_listed(crew, made_up_assets, tmp_path):
    (made_up_assets / POTATO).write_bytes(b"damaged")
    config = of_folder(made_up_assets, "skip")
    lost, others = potatoes(config)
    with pytest.warns(Note, match=rf"left out {len(lost)} episodes \(carrot {len(lost)}\)"):
        run.rollout(config, "random", 0, tmp_path, THREE, 1)
    frame = pd.read_parquet(tmp_path / "carrot.parquet")
    assert frame["episode_id"].tolist() == others
    meta = provenance.read(tmp_path / "carrot.parquet")
    assert meta["extra"]["not_run"] == {str(number): [POTATO] for number in lost}
    assert list(meta["inputs"].values()) == [sha256(made_up_assets / POTATO)]
    assert not {("carrot", number) for number in lost} & set(crew.ran), "none in their place"
    whole = provenance.read(tmp_path / "in_distribution.parquet")
    assert whole["inputs"] == {} and "not_run" not in whole["extra"]
    crew.ran.clear()
    with pytest.warns(Note):
        run.rollout(config, "random", 0, tmp_path, THREE, 1)
    assert crew.ran == [], "the records stand"


@pytest.mark.filterwarnings("ignore::unblind.errors.Note")
@pytest.mark.parametrize("change", ["mended", "another is lost", "gone instead of damaged"])
def test_a_record_is_outdated_when_the_folder_changes(crew, made_up_assets, tmp_path, change):
    whole = (made_up_assets / POTATO).read_bytes()
    (made_up_assets / POTATO).write_bytes(b"damaged")
    config = of_folder(made_up_assets, "skip")
    run.rollout(config, "random", 0, tmp_path, THREE, 1)
    lost, others = potatoes(config)
    crew.ran.clear()
    if change == "mended":
        (made_up_assets / POTATO).write_bytes(whole)
        others += lost
    elif change == "gone instead of damaged":
        (made_up_assets / POTATO).unlink()
    else:
        onion = made_up_release.folder_of("more_carrot", "onion", 24)
        (made_up_assets / onion / "collision.obj").unlink()
        episodes = run.evaluation_episodes(config, "carrot", 0)
        others = [e.episode_id for e in episodes if e.object not in ("potato", "onion")]
    run.rollout(config, "random", 0, tmp_path, THREE, 1)
    assert sorted(crew.ran) == sorted(("carrot", number) for number in others)
    assert sorted(pd.read_parquet(tmp_path / "carrot.parquet")["episode_id"]) == sorted(others)


@pytest.mark.filterwarnings("ignore::unblind.errors.Note")
def test_rows_of_an_interrupted_call_are_kept_while_the_folder_stays(
    crew, made_up_assets, tmp_path
):
    whole = (made_up_assets / POTATO).read_bytes()
    (made_up_assets / POTATO).unlink()
    config = of_folder(made_up_assets, "skip")
    crew.left = 3
    with pytest.raises(Interrupted):
        run.rollout(config, "random", 0, tmp_path, ["carrot"], 1)
    crew.left, done = 2, list(crew.ran)
    crew.ran.clear()
    with pytest.raises(Interrupted):
        run.rollout(config, "random", 0, tmp_path, ["carrot"], 1)
    assert len(crew.ran) == 2 and not set(crew.ran) & set(done)
    (made_up_assets / POTATO).write_bytes(whole)
    crew.left = None
    crew.ran.clear()
    run.rollout(config, "random", 0, tmp_path, ["carrot"], 1)
    assert len(crew.ran) == 40, "a mended folder starts afresh"


@pytest.mark.filterwarnings("ignore::unblind.errors.Note")
def test_a_record_whose_every_episode_is_blocked_is_empty(crew, made_up_assets, tmp_path):
    plate = made_up_release.folder_of("more_plate", "plate", 1)
    (made_up_assets / plate / "collision.obj").unlink()
    config = of_folder(made_up_assets, "skip")
    out = tmp_path / "random" / "0"
    run.rollout(config, "random", 0, out, THREE, 1)
    assert crew.ran == []
    frame, meta = load_cell(config, "random", 0, "carrot", tmp_path)
    assert len(frame) == 0 and len(not_run(meta)) == 40
    assert not_run(meta)[ids(config, "carrot")[0]] == (f"{plate}/collision.obj",)


@pytest.mark.filterwarnings("ignore::unblind.errors.Note")
def test_with_a_part_of_the_real_release_the_rest_is_run(renderer, released_assets, tmp_path):
    config = of_folder(released_assets, "skip", **sizes.episodes(100), **{"rollout.max_steps": 2})
    episodes = run.evaluation_episodes(config, "in_distribution", 0)
    lacking = blocked.find(config.catalog, {"": episodes})[""]
    there = [e.episode_id for e in episodes if e.episode_id not in lacking]
    if not 0 < len(there) < 20:
        pytest.skip(f"{len(there)} of 100 episodes have all their files here")
    run.rollout(config, "oracle", 0, tmp_path, ["in_distribution"], 1)
    frame = pd.read_parquet(tmp_path / "in_distribution.parquet")
    assert frame["episode_id"].tolist() == there and set(frame["steps"]) == {2}


# ---- with the simulator -----------------------------------------------------------------------

TWO = ["in_distribution", "position_change_to"]
TEN = {**sizes.episodes(10), "rollout.max_steps": 20}


def ten(scenes):
    return TEN | {"rollout.scenes": scenes}


def test_killed_and_continued_with_more_workers_and_scenes_gives_the_same_bytes(
    renderer, tmp_path, monkeypatch
):
    run.rollout(load(commands.SMOKE, ten(1)), "oracle", 0, tmp_path / "whole", TWO, 1)
    frame = pd.read_parquet(tmp_path / "whole" / "in_distribution.parquet")
    assert list(frame["steps"]) == [20] * 10
    assert frame["grasped"].any(), "something happens in 20 steps"

    cut = tmp_path / "cut"
    journal = cut / ".in_distribution.journal"
    options = [word for key, value in ten(4).items() for word in ("--set", f"{key}={value}")]
    options += [word for name in TWO for word in ("--condition", name)]
    process = commands.start(
        *("rollout", "--config", commands.SMOKE, "--run", "oracle", "--out", cut),
        *(*options, "--workers", 2),
    )

    def rows():
        lines = journal.read_text().splitlines(keepends=True) if journal.exists() else []
        return [line for line in lines[1:] if line.endswith("\n")]

    commands.kill_when(lambda _: rows(), process)
    kept = rows()
    assert 1 <= len(kept) < 10 and content(cut) == {}

    ran, original = [], Crew.run
    monkeypatch.setattr(Crew, "run", lambda self, todo: ran.extend(todo) or original(self, todo))
    run.rollout(load(commands.SMOKE, ten(4)), "oracle", 0, cut, TWO, 2)
    assert len(ran) == 20 - len(kept)
    assert content(cut) == content(tmp_path / "whole")
