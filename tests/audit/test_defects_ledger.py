"""The ledger of the release's defects, and its checks on sound and on mutated rules."""

import time
from collections import Counter

import numpy as np
import pytest
import yaml
from imports import imports, inside

from unblind.audit import defect_checks_environments as environments
from unblind.audit import defect_checks_evaluation as evaluation
from unblind.audit import defect_checks_training as training
from unblind.audit.defects import CHECKS, ledger, run_checks
from unblind.errors import UnblindError
from unblind.sim import episodes
from unblind.vla.tokens import ActionNormalizer

ENTRY = {
    "id": "some-defect",
    "title": "A title",
    "where": "a_file.py, line 1",
    "area": "training",
    "released": "One thing.",
    "corrected": "Another.",
    "consequence": "None.",
    "why_not": "A reason.",
}


@pytest.fixture(scope="module")
def results():
    return {result.defect.id: result for result in run_checks(ledger())}


def test_size_of_the_ledger():
    defects = ledger()
    assert len(defects) >= 24
    assert len({defect.id for defect in defects}) == len(defects)
    assert len({defect.title for defect in defects}) == len(defects)
    executable = [defect.check for defect in defects if defect.check]
    assert len(executable) >= 12 and sorted(executable) == sorted(CHECKS)
    assert all(count >= 3 for count in Counter(d.area for d in defects).values())


def test_every_check_shows_its_defect(results):
    assert len(results) == len(CHECKS)
    for name, result in results.items():
        assert result.shown, name
        assert result.released_value != result.corrected_value, name
        for text in (result.released_value, result.corrected_value):
            assert text == text.strip() and "{" not in text and "nan" not in text, name


@pytest.mark.parametrize(
    ("defect", "released", "corrected"),
    [
        ("multi-carrot-self-distractor", "9 of 72 pairs", "0 of 72 pairs"),
        ("parity-scoring-inverted", "672 of 672 ids", "0 of 672 ids"),
        ("parity-planner-target", "336 of 672 ids", "0 of 672 ids"),
        ("ids-wrap-silently", "11,540,479,999", "refused"),
        ("settling-depends-on-batch", "4 of 4", "0 of 4"),
        # By hand: the steps of at least 12 mm of 84 mm.
        ("noop-filter-loses-motion", "54 mm", "84 mm"),
        # 1 - p**7 with p = 0.7**(1 / 0.6) / (0.7**(1 / 0.6) + 0.3**(1 / 0.6)) = 0.804
        ("decoding-is-sampled", "92 %", "0 %"),
        ("parser-accepts-every-place", "3 of 3", "0 of 3"),
        ("no-negative-probes", "100 %", "50 %"),
        ("tsne-reads-visual-tokens", "index 6 ", "index 262 "),
        ("one-update-too-many", "60,001", "60,000 updates"),
        ("bfloat16-updates-lost", "0.500", "0.450"),
        ("constant-gripper-zeroed", "becomes +0", "becomes +1"),
        ("bicubic-overshoot", "where black is -2.12", "input -2.12"),
        ("runs-share-a-folder", "in 1 folder", "in 3 folder"),
    ],
)
def test_values(results, defect, released, corrected):
    result = results[defect]
    assert released in result.released_value
    assert corrected in result.corrected_value


def test_half_of_the_edges_move_in_float32(results):
    moved = int(results["float32-bin-edges"].released_value.split()[0])
    assert 0.4 < moved / 254 < 0.6


def test_crops_enlarge_by_the_root_of_their_area(results):
    words = results["no-center-crop"].released_value.split()
    assert float(words[2]) == pytest.approx(100 * (0.9**-0.5 - 1), abs=0.2)


def test_spreads_below_the_binomial_one(results):
    below = int(results["spread-below-binomial"].released_value.split()[0])
    assert " of 39 " in results["spread-below-binomial"].released_value
    assert 30 <= below <= 39  # by hand: of Freeze's cells only those at .01 have room for .01


def test_checks_are_quick_and_repeatable(results):
    start = time.process_time()
    again = {result.defect.id: result for result in run_checks(ledger())}
    assert time.process_time() - start < 5
    assert again == results


def test_checks_start_no_simulator():
    seen, ahead = set(), {"unblind.audit.defects"}
    while ahead:
        seen |= ahead
        ahead = set().union(*(imports(module) for module in ahead)) - seen
    assert not seen & inside(["unblind.sim.engine", "unblind.machine.renderer"])


# ---- mutated rules: a check must notice when either behaviour is not what it says


def shown(check):
    return CHECKS[check]().shown


def test_noticed_if_the_release_offset_were_right(monkeypatch):
    right = episodes._other
    monkeypatch.setattr(episodes, "_other", lambda pool, i, k, _: right(pool, i, k, "corrected"))
    assert not shown("multi_carrot_self_distractor")


def test_noticed_if_ours_had_the_offset_wrong(monkeypatch):
    right = episodes._other
    monkeypatch.setattr(episodes, "_other", lambda pool, i, k, _: right(pool, i, k, "released"))
    assert not shown("multi_carrot_self_distractor")


@pytest.mark.parametrize("fidelity", ["released", "corrected"])
def test_noticed_if_both_parities_were_one_rule(monkeypatch, fidelity):
    rule = environments._parity_boards
    monkeypatch.setattr(environments, "_parity_boards", lambda number, _: rule(number, fidelity))
    assert not shown("parity_scoring_inverted") and not shown("parity_planner_target")


def test_noticed_if_texture_ignored_the_batch(monkeypatch):
    blend = environments.overlay.blend_mask
    monkeypatch.setattr(environments.overlay, "blend_mask", lambda *args: blend(*args[:5]))
    assert not shown("texture_depends_on_batch")


@pytest.mark.parametrize("answer", [True, False])
def test_noticed_if_settling_were_constant(monkeypatch, answer):
    monkeypatch.setattr(environments, "needs_more_settling", lambda *_: answer)
    assert not shown("settling_depends_on_batch") and not shown("settling_overlooks_carrot")


def test_noticed_if_the_unshifted_row_were_drawn(monkeypatch):
    monkeypatch.setattr(episodes, "UNSHIFTED_JOINT_ROW", 0)
    assert not shown("ee_pose_unshifted_row")


def test_noticed_if_the_filter_kept_everything(monkeypatch):
    keep_all = lambda actions: np.arange(len(actions))  # noqa: E731
    monkeypatch.setattr(training.labels, "filter_released", keep_all)
    assert not shown("noop_filter_loses_motion")


def test_noticed_if_the_controller_read_extrinsic_angles(monkeypatch):
    rule = training.labels.Rotation

    class Extrinsic(rule):
        @classmethod
        def from_euler(cls, order, angles):
            return rule.from_euler(order.lower(), angles)

    monkeypatch.setattr(training.labels, "Rotation", Extrinsic)
    assert not shown("euler_order_differs")


@pytest.mark.parametrize("fidelity", ["released", "corrected"])
def test_noticed_if_normalisation_had_one_rule(monkeypatch, fidelity):
    rule = ActionNormalizer.normalize
    monkeypatch.setattr(
        ActionNormalizer, "normalize", lambda self, a, _="": rule(self, a, fidelity)
    )
    assert not shown("constant_gripper_zeroed")
    assert not shown("equal_quantiles_divide_by_epsilon")


def test_noticed_if_our_projector_never_trained(monkeypatch):
    from unblind.align import objective

    make = objective.make_projector
    monkeypatch.setattr(objective, "make_projector", lambda *args: make(*args[:5], frozen=True))
    assert not shown("projector_not_in_optimizer")


def test_noticed_if_our_projector_ignored_its_seed(monkeypatch):
    draw = lambda name, *sizes, seed: training.MLP(*sizes)  # noqa: E731
    monkeypatch.setattr(training, "make_projector", draw)
    assert not shown("unseeded_projector")


def test_noticed_if_our_runs_shared_a_folder(monkeypatch):
    monkeypatch.setattr(training, "run_folder", lambda config, run, seed: run)
    assert not shown("runs_share_a_folder")


def test_noticed_if_one_parser_were_used_twice(monkeypatch):
    monkeypatch.setattr(evaluation, "_passes_released", evaluation._passes_strict)
    assert not shown("parser_accepts_every_place")


def test_noticed_if_there_were_no_visual_tokens(monkeypatch):
    monkeypatch.setattr(evaluation, "_VISUAL", 0)
    assert not shown("tsne_reads_visual_tokens")


def test_noticed_if_our_ids_changed_between_methods(monkeypatch):
    lists = iter([[1, 2, 3], [4, 5, 6]])
    monkeypatch.setattr(evaluation, "sample_ids", lambda *_: next(lists))
    assert not shown("ids_from_global_generator")


def test_noticed_if_our_pictures_overshot(monkeypatch):
    squeezed = evaluation.Squeezed.evaluation
    monkeypatch.setattr(
        evaluation.Squeezed, "evaluation", lambda self, images: squeezed(self, images) - 0.1
    )
    assert not shown("bicubic_overshoot")


# ---- the file


def write(tmp_path, *entries):
    path = tmp_path / "defects.yaml"
    path.write_text(yaml.safe_dump(list(entries)))
    return path


def test_a_sound_entry_is_read(tmp_path):
    (defect,) = ledger(write(tmp_path, ENTRY))
    assert defect.why_not == "A reason." and run_checks([defect]) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"why_not": None}, "either a check or why_not"),
        ({"check": "float32_bin_edges"}, "either a check or why_not"),
        ({"check": "no_such", "why_not": None}, "no check called 'no_such'"),
        ({"id": "Some Defect"}, "id"),
        ({"area": "weather"}, "area"),
        ({"titel": "typo"}, "titel"),
        ({"released": ""}, "released"),
    ],
)
def test_a_bad_entry_is_refused(tmp_path, change, message):
    with pytest.raises(UnblindError, match="bad defects") as caught:
        ledger(write(tmp_path, ENTRY | change))
    assert message in str(caught.value)


def test_a_second_entry_of_one_name_is_refused(tmp_path):
    with pytest.raises(UnblindError, match="twice some-defect"):
        ledger(write(tmp_path, ENTRY, ENTRY))


def test_a_check_of_two_defects_is_refused(tmp_path):
    checked = ENTRY | {"check": "float32_bin_edges", "why_not": None}
    with pytest.raises(UnblindError, match="twice float32_bin_edges"):
        ledger(write(tmp_path, checked, checked | {"id": "another"}))


@pytest.mark.parametrize("text", ["[", "a: b", "- 3", "\x00"])
def test_a_file_of_another_kind_is_refused(tmp_path, text):
    path = tmp_path / "defects.yaml"
    path.write_text(text)
    with pytest.raises(UnblindError, match="bad defects"):
        ledger(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UnblindError, match=r"nowhere\.yaml"):
        ledger(tmp_path / "nowhere.yaml")
