"""The published numbers: complete, true to the paper's own means, and typos are named."""

import copy
from functools import reduce
from operator import getitem

import pytest
import yaml

from unblind.config import load
from unblind.errors import UnblindError
from unblind.report.published import PAPER, load_claims
from unblind.report.summary import MEANS

CONDITIONS = MEANS["all 13"]
#: Rows of each table of the paper.
ROWS = {"1": 3, "2": 8, "3": 4, "4": 4, "5": 2, "6": 7, "7": 3, "8": 3}
ROWS |= {"10": 14, "11": 6, "12": 9, "13": 5}


@pytest.fixture(scope="module")
def claims():
    return load_claims()


@pytest.fixture(scope="module")
def raw():
    return yaml.safe_load((PAPER / "claims.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def read(raw, tmp_path):
    """Return a function that replaces a value (None: removes it) and loads the claims again."""

    def change(*path_and_value):
        *parents, last, value = path_and_value
        values = copy.deepcopy(raw)
        parent = reduce(lambda inner, key: inner[key], parents, values)
        if value is None:
            del parent[last]
        else:
            parent[last] = value
        path = tmp_path / "claims.yaml"
        path.write_text(yaml.dump(values, Dumper=yaml.CSafeDumper), encoding="utf-8")
        return load_claims(path)

    return change


def groups(claims, table, row):
    printed = claims.tables[table]
    return [
        round(printed.mean(row, printed.headings(suite)), 3)
        for suite in ("semantic", "vision", "execution")
    ]


def test_every_table_has_all_its_cells(claims):
    assert {key: len(table.rows) for key, table in claims.tables.items()} == ROWS
    cells = {
        key: sum(len(row.cells) for row in table.rows.values())
        for key, table in claims.tables.items()
    }
    assert (cells["1"], cells["2"], cells["3"]) == (39, 64, 4)
    assert sum(cells[key] for key in ("4", "5", "6", "7", "8")) == 19 * 3
    assert sum(cells[key] for key in ("10", "11", "12", "13")) == 34 * 13
    for key in ("1", "10", "11", "12", "13"):
        assert tuple(claims.tables[key].columns) == CONDITIONS


def test_group_means_follow_from_the_full_tables(claims):
    # Computed by hand from the printed cells.
    assert groups(claims, "10", "align") == [0.606, 0.726, 0.387]
    assert groups(claims, "10", "projector-whitening-trainable") == [0.566, 0.730, 0.447]
    assert groups(claims, "11", "teacher-siglip") == [0.398, 0.572, 0.340]
    assert groups(claims, "11", "teacher-dinov2-giant") == [0.574, 0.690, 0.373]
    assert groups(claims, "12", "layer-8") == [0.552, 0.702, 0.403]
    assert groups(claims, "12", "layer-22") == [0.584, 0.692, 0.367]
    assert groups(claims, "13", "lambda-2")[0] == 0.586
    assert groups(claims, "6", "align") == [0.61, 0.72, 0.39]
    whitening = claims.tables["10"].mean("projector-whitening-trainable", CONDITIONS)
    assert round(whitening, 3) == 0.602


def test_spreads_and_p_values_stand_where_they_are_printed(claims):
    assert claims.tables["13"].rows["lambda-3"].cells["Carrot"] == (0.52, 0.10)
    assert claims.tables["2"].rows["ovis2.5-9b"].cells["Weather"] == (0.98, 0.01)
    assert claims.tables["3"].rows["align"].cells["Accuracy"] == (0.8213, None)
    whitening = claims.tables["6"].rows["projector-whitening-trainable"]
    assert whitening.p == {"Semantic": 0.01, "Vision": 0.61, "Execution": 0.97}
    assert claims.tables["8"].rows["loss-l2"].p["Vision"] == "<0.01"
    for table in claims.tables.values():
        printed = [spread for row in table.rows.values() for _, spread in row.cells.values()]
        assert all(s is None for s in printed) == (table.spread_kind == "none")


def test_a_row_that_stands_in_several_tables_has_one_run(claims):
    assert {t.rows["align"].run for t in claims.tables.values()} == {"align"}
    for key in ("10", "11"):
        assert claims.tables[key].rows["default"].cells == claims.table1.rows["default"].cells
    config = load(PAPER.parent / "workflow" / "config" / "mini.yaml")
    assert {row.run for row in claims.table1.rows.values()} <= config.runs.keys()


def test_every_ordering_holds_for_the_printed_numbers(claims):
    orderings = claims.orderings
    assert len(orderings) == 161
    for one in orderings:
        table = claims.tables[one.table]
        better, worse = (table.mean(row, one.columns) for row in (one.better, one.worse))
        if one.kind == "greater":
            assert better > worse + one.margin + 1e-9, one.id
        else:
            assert worse < one.margin * better, one.id
        assert "{" not in one.text and one.measure == table.measure


def test_lists_of_a_block_become_orderings(claims):
    by_id = {one.id: one for one in claims.orderings}
    carrot = by_id["align-beats-default-carrot"]
    assert (carrot.text, carrot.columns) == ("Align beats Default on Carrot.", ["Carrot"])
    vision = by_id["align-beats-default-vision"]
    assert (vision.suite, tuple(vision.columns)) == ("vision", MEANS["vision"])
    assert tuple(by_id["align-beats-default-overall"].columns) == CONDITIONS
    theia = by_id["teacher-best-teacher-theia-execution"]
    assert (theia.worse, theia.columns, theia.suite) == (
        "teacher-theia",
        ["Execution"],
        "execution",
    )
    assert theia.label == "Theia, execution"
    assert carrot.label == "Carrot" and carrot.title == "Align beats Default"
    assert by_id["frozen-mlp-beats-whitening-semantic"].label == "Whitening (trainable), semantic"
    assert by_id["freeze-fails-semantic"].kind == "collapse"
    assert by_id["default-beats-align-poschangeto"].worse == "align"


def test_a_block_may_speak_of_rows_that_a_study_adds(claims):
    table, runs = claims.tables["4"], {"teacher_own": "Ours"}
    (block,) = (one for one in claims.blocks if one.id == "teacher-best")
    own = list(block.of_own_rows(table, 0.0, runs))
    assert [one.id for one in own] == [
        f"teacher-best-teacher-own-{suite}" for suite in ("semantic", "vision", "execution")
    ]
    assert (own[0].worse, own[0].label) == ("teacher_own", "Ours, semantic")
    assert own[0].text == "The teacher C-RADIOv3 beats Ours on the semantic conditions."
    (other,) = (one for one in claims.blocks if one.id == "backbone-best")
    assert list(other.of_own_rows(claims.tables["5"], 0.0, runs)) == []


def test_comparisons_of_figures_are_one_for_each_layer(claims):
    by_id = {one.id: one for one in claims.comparisons}
    assert len(by_id) == 5 + 4 * 3
    late = by_id["classes-collapse-late"]
    assert (late.higher, late.lower, late.layer) == ("base", "default", "late")
    assert late.text.endswith("at the late layer.") and late.label == "late layer"
    assert by_id["attention-sink"].label == "aligned layer"
    assert {one.figure for one in by_id.values()} == {"4", "5"}


def test_values_of_others_let_one_expect_what_is_tested(claims):
    (rlinf,) = claims.elsewhere
    assert (rlinf.n, len(rlinf.rows)) == ("not stated", 7)
    warm = dict(zip(rlinf.columns, rlinf.rows["warm-up"].values, strict=True))
    assert warm["In distribution"] == 0.5391
    # The printed mean is not that of the paper's groups of 5, 5 and 3 conditions.
    ours = (5 * warm["Semantic"] + 5 * warm["Vision"] + 3 * warm["Execution"]) / 13
    assert ours == pytest.approx(0.3837, abs=1e-4) and warm["OOD mean"] == 0.3910
    (expected,) = rlinf.expected
    for run in expected.lower:
        semantic, vision, execution = groups(claims, "1", run)
        assert execution < warm["Execution"]
        assert vision > warm["Vision"] and semantic > warm["Semantic"]


def test_settings_name_keys_of_the_configuration(claims):
    config = load(PAPER.parent / "workflow" / "config" / "paper.yaml").model_dump()
    for number in claims.text:
        if number.key:
            ours = reduce(getitem, number.key.split("."), config)
            assert ours == number.value, number.id
    assert {number.value for number in claims.text} >= {0.1, 128, 0.2, 1400, 16, 768, 4096}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("tolerence", 1), r"unknown key 'tolerence', did you mean 'tolerances'"),
        (
            ("tables", "1", "rows", "align", "lable", "x"),
            r"tables\.1\.rows\.align: .*'lable'.*'label'",
        ),
        (("orderings", 0, "better", "algin"), r"no 'algin' in Table 1, did you mean 'align'"),
        (("orderings", 0, "columns", ["Carot"]), r"no 'Carot' in Table 1, did you mean 'Carrot'"),
        (("orderings", 0, "table", "9"), r"no table '9'"),
        (("orderings", 0, "text", "{best} wins"), r"cannot fill in '{best} wins': 'best'"),
        (("orderings", 4, "kind", "colapse"), r"orderings\.4\.kind: .*'greater' or 'collapse'"),
        (("text", 0, "id", "seeds"), r"duplicate id 'seeds'"),
        (("contradictions", 0, "id", "seeds"), r"duplicate id 'seeds'"),
        (("tables", "2", "measure", "vlthink"), r"tables\.2\.measure: .*'vl_think'"),
        (("tables", "4", "rows", "align", "values", [0.6, 0.7]), r"'values' is not a list of 3"),
        (("tables", "3", "rows", "align", "values", [82.13]), r"less than or equal to 1"),
        (("tables", "3", "rows", "align", "values", [float("nan")]), r"finite number"),
        (("tables", "3", "rows", "align", "values", ["0.8"]), r"valid number"),
        (("tables", "5", "rows", "enc2enc", "p", ["<0.1", 1, 1]), r"'<0\.01'"),
        (("tables", "1", "rows", "align", None), r"no 'align' in Table 1"),
        (("tables", "1", None), r"there is no Table 1"),
        (("tolerances", "why", "margin", None), r"'why' says nothing of margin"),
        (("elsewhere", 0, "n", "many"), r"elsewhere\.0\.n"),
        (("elsewhere", 0, "not_compared", ""), r"not_compared: .*at least 1 character"),
        (("elsewhere", 0, "rows", "warm-up", "values", [0.5]), r"'warm-up' has not a value for"),
        (("elsewhere", 0, "rows", "warm-up", "values", 0, 53.9), r"less than or equal to 1"),
        (("elsewhere", 0, "expected", 0, "text", "{lowr}"), r"cannot fill in '{lowr}': 'lowr'"),
        (("elsewhere", 0, "expected", 0, "suite", "arm"), r"expected\.0\.suite"),
        (("text", 0, "id", "warm-up-executes-align"), r"duplicate id 'warm-up-executes-align'"),
        (("text", 2, "value", float("inf")), r"text\.2\.value: .*finite number"),
    ],
)
def test_a_slip_is_named(read, change, message):
    with pytest.raises(UnblindError, match=message):
        read(*change)


def test_a_key_that_stands_twice_is_named(tmp_path):
    text = (PAPER / "claims.yaml").read_text(encoding="utf-8")
    path = tmp_path / "claims.yaml"
    path.write_text(text.replace("      teacher-theia:", "      teacher-siglip:"), encoding="utf-8")
    with pytest.raises(UnblindError, match="duplicate key 'teacher-siglip'"):
        load_claims(path)


@pytest.mark.parametrize("text", ["", "a: [", "- 1", "tables: 3", "tables: {'1': 3}"])
def test_a_file_of_another_kind_is_refused(tmp_path, text):
    path = tmp_path / "claims.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UnblindError, match="bad published numbers"):
        load_claims(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UnblindError, match=r"cannot read the published numbers .*no\.yaml"):
        load_claims(tmp_path / "no.yaml")


def test_an_unknown_row_or_column_is_named(claims):
    with pytest.raises(UnblindError, match="no row 'alin', did you mean 'align'"):
        claims.table1.row("alin")
    with pytest.raises(UnblindError, match="no column 'Carot', did you mean 'Carrot'"):
        claims.table1.mean("align", ["Carot"])
    with pytest.raises(UnblindError, match="no such group"):
        claims.tables["2"].mean("align", claims.tables["2"].headings("vision"))
