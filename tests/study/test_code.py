"""The ledger: which code counts as which, under which settings."""

import pytest

from unblind.config import load
from unblind.errors import UnblindError
from unblind.study import code
from unblind.study.code import Proof, code_hash, settings_digest, source_hash
from unblind.study.counts import COUNTS

MODULES = ("unblind.errors", "unblind.files")
SETTINGS = {"seed": 0, "demos": {"noop_filter": "merge", "successes": 384}}


def proof(**changes):
    known = {
        "new": source_hash(*MODULES),
        "old": "0" * 64,
        "settings": settings_digest(SETTINGS),
        "results": "demos/manifest.json",
        "outputs": "1" * 64,
        "new_commit": "2" * 40,
        "old_commit": "3" * 40,
        "machine": "x86_64 GenuineIntel AVX2",
        "lock": "4" * 12,
    }
    return Proof(**known | changes)


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    monkeypatch.setattr(code, "LEDGER", tmp_path / "equivalent.tsv")
    code.ledger.cache_clear()
    yield tmp_path / "equivalent.tsv"
    code.ledger.cache_clear()


def test_without_a_proof_code_counts_as_itself(ledger):
    assert code_hash(*MODULES, config=SETTINGS) == source_hash(*MODULES)


def test_proved_code_counts_as_the_oldest(ledger):
    code.write(ledger, [proof()])
    assert code_hash(*MODULES, config=SETTINGS) == "0" * 64
    assert code_hash("unblind.errors", config=SETTINGS) == source_hash("unblind.errors")


def test_a_proof_holds_for_its_settings_whatever_their_counts(ledger):
    code.write(ledger, [proof()])
    more = {"seed": 0, "demos": {"noop_filter": "merge", "successes": 2}}
    assert code_hash(*MODULES, config=more) == "0" * 64
    for other in ({"noop_filter": "none"}, {"noop_filter": "merge", "euler": "corrected"}):
        settings = {"seed": 0, "demos": other}
        assert code_hash(*MODULES, config=settings) == source_hash(*MODULES)


def test_a_later_proof_of_the_same_code_replaces_the_earlier(ledger):
    code.write(ledger, [proof(), proof(settings="5" * 64)])
    code.write(ledger, [proof(old="6" * 64)])
    assert [row.old for row in code.read(ledger)] == ["6" * 64, "0" * 64]
    assert code_hash(*MODULES, config=SETTINGS) == "6" * 64


@pytest.mark.parametrize("text", ["", "a\tb\n", "new\told\n1\t2\n"])
def test_what_is_no_ledger_is_one_error(ledger, text):
    ledger.write_text(text)
    with pytest.raises(UnblindError, match=r"no ledger of proofs .restore it: git checkout"):
        code_hash(*MODULES, config=SETTINGS)


def test_counts_are_keys_of_the_configuration_in_lists_too():
    values = load("workflow/config/mini.yaml").model_dump(mode="json")
    left = code._without_counts(values)

    def keys(value, key=""):
        if isinstance(value, dict):
            for name, part in value.items():
                yield from keys(part, f"{key}.{name}" if key else name)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield from keys(value[0], key)
        else:
            yield key

    dropped = set(keys(values)) - set(keys(left))
    assert dropped == COUNTS.keys() - {"images", "heldout"}
    assert {"base.robot.batch", "training.schedule.rate", "training.rank"} <= set(keys(left))


def test_the_code_hash_follows_content_alone(tmp_path, monkeypatch):
    package = tmp_path / "unblind"
    (package / "sim" / "assets").mkdir(parents=True)
    (package / "sim" / "env.py").write_text("a = 1\n")
    (package / "sim" / "assets" / "arm.urdf").write_text("<robot/>")
    monkeypatch.setattr(code, "_PACKAGE", package)
    first = source_hash("unblind.sim")
    (package / "sim" / "__pycache__").mkdir()
    (package / "sim" / "__pycache__" / "env.pyc").write_text("x")
    (package / "sim" / "env.py").touch()
    assert source_hash("unblind.sim") == first
    assert source_hash("unblind.sim.env") != first
    (package / "sim" / "assets" / "arm.urdf").write_text("<robot />")
    assert source_hash("unblind.sim") != first
    with pytest.raises(UnblindError, match=r"no module or subpackage unblind\.smi"):
        source_hash("unblind.smi")
