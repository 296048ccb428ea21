"""Contradictions inside the paper: each is real, and gone when its number is mended."""

import copy

import pytest
import yaml

from unblind.audit.arithmetic import evaluate
from unblind.audit.arithmetic_checks import CHECKS
from unblind.errors import UnblindError
from unblind.report.published import PAPER, Claims, load_claims

#: By contradiction: table, row and column (or None and a number of the text) with a value that
#: removes it. Values by column replace cells, a key "p" the p value.
MENDED = {
    "whole03-printed-twice": [("1", "align", {"Whole03": 0.80})],
    "siglip-summary": [("4", "teacher-siglip", {"Semantic": 0.4, "Vision": 0.57})],
    "theia-summary": [
        ("4", "teacher-theia", {"Semantic": 0.53, "Vision": 0.66, "Execution": 0.38})
    ],
    "trainable-mlp-summary": [("6", "projector-mlp-trainable", {"Execution": 0.35})],
    "trainable-cosine-summary": [("6", "projector-cosine-trainable", {"Vision": 0.70})],
    "orthogonal-swapped": [
        ("6", "projector-orthogonal-frozen", {"Vision": 0.69, "Execution": 0.35})
    ],
    "film-swapped": [
        ("6", "projector-film-trainable", {"Semantic": 0.57, "Vision": 0.7, "Execution": 0.38})
    ],
    "early-from-nowhere": [("7", "early", {"Semantic": 0.55, "Vision": 0.70, "Execution": 0.40})],
    "late-from-nowhere": [("7", "late", {"Semantic": 0.57, "Vision": 0.74, "Execution": 0.39})],
    "layers-26-and-30": [
        ("12", "layer-30", dict.fromkeys(("Carrot", "Instruct", "Plate", "Tex03", "Tex05"), 0.01)),
        ("12", "layer-30", {"EEPose": 0.02}),
    ],
    "gain-of-ten-percent": [(None, "relative-gain", 0.16)],
    "gain-not-consistent": [("1", "align", {"PosChangeTo": 0.24})],
    "whitening-beats-the-best": [("6", "projector-whitening-trainable", {"Execution": 0.38})],
    "whitening-beats-the-best-in-full": [
        ("10", "projector-whitening-trainable", {"VisionImg": 0.75})
    ],
    "whitening-significantly-better": [("6", "projector-whitening-trainable", {"p": 0.9})],
    "layer-20-beats-the-middle": [("12", "layer-20", {"Position": 0.5})],
    "layer-8-beats-the-middle": [("12", "layer-8", {"EEPose": 0.3})],
    "early-p-value": [("7", "early", {"p": 0.3})],
    "late-p-value": [("7", "late", {"p": 0.1})],
    "enc2enc-p-value": [("5", "enc2enc", {"Execution": 0.40})],
    "p-value-against-spread": [("4", "teacher-dinov2-giant", {"p": "<0.01"})],
    "spread-too-small": [(None, "seeds", 1024)],
    "weights-listed": [(None, "listed-weights", 5)],
    "larger-weights-not-worse": [("13", "lambda-1", {"Instruct": 0.60})],
    "teacher-width": [(None, "features-width", 1024)],
    "layers-table-reference": [(None, "layers-table", 12)],
    "variant-missing": [("10", "projector-spectral-trainable", {})],
    "shape-below-prismatic": [("2", "align", {"Shape": 0.60})],
    "scale-does-not-help": [
        ("2", "ovis2.5-2b", dict.fromkeys(("Arrow", "Color", "Shape"), 0.0)),
        ("2", "internvl3.5-4b", dict.fromkeys(("Arrow", "Color"), 0.0)),
    ],
    "parity-hardly-falls": [("2", "default", {"Parity": 0.35})],
    "vlms-fail-at-laundry": [("2", "internvl3.5-4b", {"Laundry": 0.4})],
    "policies-below-chance": [("2", "default", {"Arrow": 0.4, "PublicInfo": 0.4})],
    "gap-mostly-open": [("3", "align", {"Accuracy": 0.86})],
}
#: The group whose p value the check looks at.
P_OF = {"late-p-value": "Vision", "p-value-against-spread": "Semantic"}


@pytest.fixture(scope="module")
def raw():
    return yaml.safe_load((PAPER / "claims.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def findings():
    return {one.id: one for one in evaluate(load_claims())}


def mend(values, name):
    for table, row, change in MENDED[name]:
        if table is None:
            (number,) = (one for one in values["text"] if one["id"] == row)
            number["value"] = change
            continue
        printed = values["tables"][table]
        if row not in printed["rows"]:
            printed["rows"][row] = copy.deepcopy(printed["rows"]["align"])
        for column, value in change.items():
            place = P_OF.get(name, "Execution") if column == "p" else column
            index = printed["columns"].index(place)
            printed["rows"][row]["p" if column == "p" else "values"][index] = value


def only(values, name):
    """The claims with one contradiction alone."""
    chosen = [one for one in values["contradictions"] if one["id"] == name]
    return Claims.model_validate({**values, "contradictions": chosen})


def test_every_contradiction_is_real(findings):
    assert len(findings) == 33
    assert [one.id for one in findings.values() if not one.holds] == []
    assert findings.keys() == MENDED.keys()


@pytest.mark.parametrize("name", MENDED)
def test_it_is_gone_when_its_number_is_mended(raw, name, findings):
    values = copy.deepcopy(raw)
    mend(values, name)
    (found,) = evaluate(only(values, name))
    assert not found.holds, found.detail
    assert found.detail != findings[name].detail


def test_the_numbers_stand_in_the_detail(findings):
    # Each computed by hand from the paper's tables.
    expected = {
        "whole03-printed-twice": "Whole03: 0.79 in Table 1, 0.80 in Table 10",
        "siglip-summary": "printed 0.54 / 0.65 / 0.35, mean of the conditions 0.398 / 0.572",
        "trainable-mlp-summary": "0.546 / 0.718 / 0.350",
        "film-swapped": "own mean 0.568 / 0.702 / 0.383, mean of FiLM (frozen) 0.546 / 0.694",
        "layers-26-and-30": "12 of 13 rates are equal; no other two rows share more than 3",
        "gain-of-ten-percent": "semantic 13.5 %, vision 9.7 %, execution 16.0 %",
        "scale-does-not-help": "Spearman's rank correlation 0.06",
        "gap-mostly-open": "closed: 47 % from OpenVLA SFT, 30 % from OpenVLA Pretrained",
        "larger-weights-not-worse": "0.558 at 0.5, 0.570 at 1.0, 0.586 at 2.0",
        "variant-missing": "missing: spectral-trainable",
    }
    for name, numbers in expected.items():
        assert numbers in findings[name].detail
    # The SD of 128 episodes at 0.5 is 0.044; none of the spreads at mid range comes near.
    assert findings["spread-too-small"].detail.startswith("32 of 39 spreads are below")


def test_rounding_alone_is_no_contradiction(raw):
    values = copy.deepcopy(raw)
    # The mean of DINOv2-ViT-G is 0.574 / 0.690 / 0.373, printed as 0.57 / 0.69 / 0.37.
    giant = "teacher-dinov2-giant"
    arguments = {"summary": "4", "row": giant, "full": "11", "full_row": giant}
    values["contradictions"][1]["arguments"] = arguments
    (found,) = evaluate(only(values, "siglip-summary"))
    assert not found.holds


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("twins", {"check": "twin"}, "no check 'twin', did you mean 'twins'"),
        ("late-p-value", {"arguments": {"table": "7"}}, "'late-p-value'.*argument 'best': Missing"),
        ("late-p-value", {"suite": "visual"}, "argument 'suite'.*'semantic', 'vision'"),
        ("late-p-value", {"row": "lat"}, "'late-p-value': Table 7 has no row 'lat'.*'late'"),
        ("late-p-value", {"row": "align"}, "no p value of 'align'"),
        ("late-p-value", {"table": "9"}, "no table '9'"),
        ("teacher-width", {"text": "widht"}, "no number 'widht'"),
        ("gain-not-consistent", {"columns": ["Carot"]}, "no column 'Carot'.*'Carrot'"),
        ("teacher-width", {"extra": 1}, "argument 'extra': Unexpected"),
    ],
)
def test_a_slip_in_a_contradiction_is_named(raw, name, change, message):
    values = copy.deepcopy(raw)
    wanted = "layers-26-and-30" if name == "twins" else name
    (one,) = (one for one in values["contradictions"] if one["id"] == wanted)
    if change.keys() & {"check", "arguments"}:
        one.update(change)
    else:
        one["arguments"].update(change)
    with pytest.raises(UnblindError, match=message):
        evaluate(only(values, wanted))


def test_every_check_is_used():
    assert {one.check for one in load_claims().contradictions} == CHECKS.keys()
