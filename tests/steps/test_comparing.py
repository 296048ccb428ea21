"""Rollouts that stop early: after which round, what they keep, and that no table takes it."""

import commands
import numpy as np
import pandas as pd
import pytest
import sizes
from synthetic import CrewStandIn

from unblind.config import load
from unblind.errors import UnblindError
from unblind.report.records import STOPPED, load_cell
from unblind.rollout import run as evaluation
from unblind.rollout.loop import Outcome
from unblind.sim.conditions import CONDITIONS
from unblind.steps import comparing
from unblind.study import provenance

TWO = ["carrot", "plate"]


# ---- the test round by round ---------------------------------------------------------------------


def test_one_condition_decides_when_the_bets_have_won_enough():
    # Seven pairs won of seven: 2**7 B(7.5, 0.5) / pi = C(14, 7) / 2**7 = 26.8; six: 14.4.
    won = comparing.standing(np.ones((9, 1), dtype=int), alpha=0.05)
    assert (won.rounds, won.pairs, won.won, won.lost, won.differs) == (7, 7, 7, 0, True)
    assert won.e_value == pytest.approx(3432 / 128)
    lost = comparing.standing(-np.ones((9, 1), dtype=int), alpha=0.05)
    assert (lost.rounds, lost.won, lost.lost, lost.differs) == (7, 0, 7, True)
    assert not comparing.standing(np.ones((6, 1), dtype=int), alpha=0.05).differs


def test_a_look_is_taken_when_every_condition_had_its_episode():
    delta = np.ones((3, 14), dtype=int)
    assert comparing.standing(delta, alpha=0.05).pairs == 14
    # What crosses the bound within a round and has fallen back at its end decides nothing.
    delta[0, 7:] = -1
    first = comparing.standing(delta[:1], alpha=0.05)
    assert (first.won, first.lost, first.differs, first.e_value) == (7, 7, False, 1.0)


def test_before_the_first_round_nothing_is_known():
    none = comparing.standing(np.zeros((0, 3), dtype=int), alpha=0.05)
    assert (none.rounds, none.e_value, none.differs) == (0, 1.0, False)


# ---- bookkeeping, with made-up episodes ----------------------------------------------------------


class Interrupted(Exception):
    """As good as a kill: nothing of the call runs after it."""


class EndingAtOnce(CrewStandIn):
    """Workers whose episodes end at once, `width` of them in reversed order."""

    width = 1
    left = None
    ran: list = []  # noqa: RUF012

    def run(self, episodes):
        for start in range(0, len(episodes), self.width):
            for episode in reversed(episodes[start : start + self.width]):
                if EndingAtOnce.left == 0:
                    raise Interrupted
                EndingAtOnce.left = EndingAtOnce.left and EndingAtOnce.left - 1
                EndingAtOnce.ran.append((episode.condition, episode.episode_id))
                success = type(self).succeeds(episode)
                yield Outcome(episode, success_final=success, success_any=success, steps=80)


@pytest.fixture
def crew(monkeypatch):
    """Crews under which the other run, oracle, always fails; random does as the tests say."""

    class Other(EndingAtOnce):
        succeeds = staticmethod(lambda episode: False)

    class Own(EndingAtOnce):
        succeeds = staticmethod(lambda episode: True)

    monkeypatch.setattr(evaluation, "Crew", Other)
    monkeypatch.setattr(comparing, "Crew", Own)
    monkeypatch.setattr(EndingAtOnce, "left", None)
    monkeypatch.setattr(EndingAtOnce, "ran", [])
    return Own


@pytest.fixture
def config(tmp_path):
    return configured(tmp_path)


def configured(folder, **changes):
    stop = {"rollout.stop_early": {"against": "oracle", "alpha": 0.05}}
    return load(commands.SMOKE, {**sizes.episodes(16), **stop, "results": str(folder), **changes})


@pytest.fixture
def study(crew, config, tmp_path):
    """A folder with the other run's records."""
    out = tmp_path / "rollouts" / "oracle" / "0"
    evaluation.rollout(config, "oracle", 0, out, None, 1)
    EndingAtOnce.ran.clear()
    return tmp_path


def compare(config, folder, names=TWO, out="out", run="random"):
    comparing.compare(config, run, 0, folder / out, names, 1)
    return {path.stem: path.read_bytes() for path in (folder / out).glob("*.parquet")}


def facts(path):
    return provenance.read(path)["extra"][STOPPED]


def test_a_run_that_differs_stops_after_few_rounds_and_says_so(crew, config, study, capsys):
    compare(config, study)
    frames = {name: pd.read_parquet(study / "out" / f"{name}.parquet") for name in TWO}
    for name, frame in frames.items():
        wanted = [e.episode_id for e in evaluation.evaluation_episodes(config, name, 0)]
        assert frame["episode_id"].tolist() == wanted[:4], "7 pairs, so 4 rounds of two"
        assert set(frame["run"]) == {"random"} and frame["success_final"].all()
    told = facts(study / "out" / "carrot.parquet")
    assert told == facts(study / "out" / "plate.parquet")
    assert (told["against"], told["differs"], told["won"], told["lost"]) == ("oracle", True, 8, 0)
    assert (told["rounds"], told["pairs"], told["of_pairs"]) == (4, 8, 32)
    said = capsys.readouterr().out
    assert "random differs from oracle: 8 pairs won, 0 lost in 8 of 32 (e-value 50.3" in said
    assert EndingAtOnce.ran[:4] == [
        (name, frames[name]["episode_id"][number]) for number in (0, 1) for name in TWO
    ]


def test_a_run_that_does_not_differ_meets_every_episode(crew, config, study, capsys):
    crew.succeeds = staticmethod(lambda episode: False)
    compare(config, study)
    told = facts(study / "out" / "carrot.parquet")
    assert (told["differs"], told["pairs"], told["won"], told["lost"]) == (False, 32, 0, 0)
    assert told["e_value"] == 1
    assert "random is not shown to differ from oracle" in capsys.readouterr().out


def test_rounds_end_with_the_condition_that_has_fewest_episodes(crew, study, tmp_path):
    crew.succeeds = staticmethod(lambda episode: False)
    config = configured(tmp_path, **{"rollout.in_distribution_episodes": 20})
    evaluation.rollout(config, "oracle", 0, study / "rollouts/oracle/0", None, 1)
    compare(config, study, ["in_distribution", "carrot"])
    assert facts(study / "out" / "carrot.parquet")["of_pairs"] == 32
    compare(config, study, ["in_distribution"], "alone")
    assert facts(study / "alone" / "in_distribution.parquet")["of_pairs"] == 20


@pytest.mark.parametrize("width", [5, 16])
def test_the_records_do_not_depend_on_how_many_episodes_are_in_hand(crew, config, study, width):
    one = compare(config, study, None, "one")
    crew.width = width
    assert compare(config, study, None, "many") == one
    assert len(one) == len(CONDITIONS)


def test_an_interrupted_call_is_continued_and_a_finished_one_not_repeated(crew, config, study):
    whole = compare(config, study, TWO, "whole")
    EndingAtOnce.ran.clear()
    EndingAtOnce.left = 3
    with pytest.raises(Interrupted):
        compare(config, study, TWO, "cut")
    EndingAtOnce.left, done = None, list(EndingAtOnce.ran)
    assert compare(config, study, TWO, "cut") == whole
    assert len(EndingAtOnce.ran) == 8 and not set(done) & set(EndingAtOnce.ran[3:])
    EndingAtOnce.ran.clear()
    assert compare(config, study, TWO, "cut") == whole
    assert EndingAtOnce.ran == [] and not list((study / "cut").glob(".*journal"))


def test_another_alpha_or_other_records_are_another_comparison(crew, config, study, tmp_path):
    compare(config, study)
    stricter = configured(tmp_path, **{"rollout.stop_early.alpha": 0.001})
    compare(stricter, study)
    assert facts(study / "out" / "carrot.parquet")["rounds"] > 4
    inputs = provenance.read(study / "out" / "carrot.parquet")["inputs"]
    assert [name for name in inputs if name.endswith("rollouts/oracle/0/plate.parquet")]


def test_tables_refuse_the_record(crew, config, study):
    compare(config, study, TWO, "stopped/oracle/random/0")
    with pytest.raises(UnblindError, match=r"carrot\.parquet is incomplete by design"):
        load_cell(config, "random", 0, "carrot", study / "stopped" / "oracle")
    # As it is the study's own that is off, its whole records stay valid.
    off = load(commands.SMOKE, {**sizes.episodes(16), "results": str(study)})
    assert len(load_cell(off, "oracle", 0, "carrot", study / "rollouts")[0]) == 16


def test_what_is_missing_or_unknown_is_one_error(crew, config, study, tmp_path):
    with pytest.raises(UnblindError, match="unknown condition 'carot'"):
        compare(config, study, ["carot"])
    unknown = configured(tmp_path, **{"rollout.stop_early.against": "orakel"})
    with pytest.raises(UnblindError, match="unknown run 'orakel', did you mean 'oracle'"):
        compare(unknown, study)
    absent = configured(tmp_path, **{"rollout.stop_early.against": "noop"})
    with pytest.raises(UnblindError, match=r"noop/0/carrot\.parquet is missing"):
        compare(absent, study)
    other = configured(tmp_path, **{"rollout.max_steps": 20})
    with pytest.raises(UnblindError, match="made with another configuration"):
        compare(other, study)
    assert not (study / "out").exists()


@pytest.mark.parametrize("alpha", [0, 1, -0.1])
def test_a_level_that_is_none_is_refused(tmp_path, alpha):
    with pytest.raises(UnblindError, match=r"rollout\.stop_early\.alpha"):
        configured(tmp_path, **{"rollout.stop_early.alpha": alpha})


# ---- with the simulator --------------------------------------------------------------------------


def test_doing_nothing_differs_from_the_planner(renderer, tmp_path):
    """The planner is evaluated whole, though the setting is on: it is the other run."""
    # Three pairs lost of three: C(6, 3) / 2**3 = 2.5.
    settings = sizes.episodes(4) | {
        "results": tmp_path,
        "rollout.stop_early.against": "oracle",
        "rollout.stop_early.alpha": 0.4,
    }
    options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    options += ["--condition", "in_distribution", "--workers", 1]
    for run in ("oracle", "noop"):
        done = commands.run("rollout", "--config", commands.SMOKE, "--run", run, *options)
        assert done.returncode == 0, done.stderr
    record = tmp_path / "stopped" / "oracle" / "noop" / "0" / "in_distribution.parquet"
    told = facts(record)
    assert told["differs"] and told["won"] == 0 and told["lost"] >= 3
    assert f"noop differs from oracle: 0 pairs won, {told['lost']} lost in" in done.stdout
    assert len(pd.read_parquet(record)) == told["pairs"] <= 4
    whole = tmp_path / "rollouts" / "oracle" / "0" / "in_distribution.parquet"
    assert len(pd.read_parquet(whole)) == 4
