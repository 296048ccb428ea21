import json

import pytest
import synthetic

from unblind.config import load
from unblind.rollout import replay as rollout_replay
from unblind.steps.replaying import replay
from unblind.study import provenance

SMOKE = "workflow/config/smoke.yaml"


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Demonstrations, and the list of replays that were really made of them."""
    calls = []

    def write(config, demos, out, workers):
        calls.append(workers)
        synthetic.write_replay(config, out, [demos / "manifest.json"])

    monkeypatch.setattr(rollout_replay, "replay", write)
    config = load(SMOKE)
    synthetic.write_demos(config, tmp_path / "demos")
    return config, tmp_path / "demos", tmp_path / "replay.parquet", calls


def test_a_replay_that_stands_is_not_made_again(made, capsys):
    config, demos, out, calls = made
    replay(config, demos, out, 1)
    told = provenance.sidecar_path(out).read_bytes()
    replay(config, demos, out, 1)
    assert calls == [1] and provenance.sidecar_path(out).read_bytes() == told
    assert capsys.readouterr().out == f"{out}: up to date\n"


def test_a_replay_of_other_demonstrations_or_damaged_is_made_again(made):
    config, demos, out, calls = made
    replay(config, demos, out, 1)
    out.write_bytes(out.read_bytes()[:-1])
    replay(config, demos, out, 2)
    values = json.loads((demos / "manifest.json").read_text())
    (demos / "manifest.json").write_text(json.dumps(values | {"attempts": 99}))
    replay(config, demos, out, 3)
    replay(load(SMOKE, {"seed": 1}), demos, out, 4)
    assert calls == [1, 2, 3, 4]
