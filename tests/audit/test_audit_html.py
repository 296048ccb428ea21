import copy
import html
import re
from pathlib import Path

import pytest
from made_up_audit import audit

from unblind.audit.html import LOOKS, anchor, groups, link, matrix, number, render_html
from unblind.audit.verdicts import VERDICTS
from unblind.errors import UnblindError

ROOT = Path(__file__).parents[2]


def test_numbers_are_printed_as_in_the_paper():
    assert [number(value) for value in (0.61, 0.6, 0.605, 0.3125, 1.0, -0.5)] == [
        *("0.61", "0.60", "0.605", "0.312", "1.00", "-0.50")
    ]
    assert [number(value) for value in (4096.0, 7, 15.8)] == ["4096", "7", "15.8"]


def test_every_verdict_has_a_look_of_its_own():
    assert list(LOOKS) == list(VERDICTS)
    assert len(set(LOOKS.values())) == len(LOOKS)


def test_links_are_relative_and_never_another_scheme_or_host():
    assert link("results/rollouts/a b/0/x.parquet", "results") == "rollouts/a%20b/0/x.parquet"
    assert link("store/x.parquet", "results") == "../store/x.parquet"
    assert link("results/javascript:alert(1)", "results") == "javascript%3Aalert%281%29"
    assert not link("//host/x", "/results").startswith("//")


def test_every_claim_stands_in_one_section_in_order():
    values = audit()
    found = groups(values["claims"])
    assert [group.title for group in found] == [
        *("Orderings", "Contradictions inside the paper", "Table 1", "Table 10"),
        "Numbers of the text",
    ]
    assert sorted(one["id"] for group in found for one in group.claims) == sorted(
        one["id"] for one in values["claims"]
    )


def test_page_is_the_same_bytes_and_holds_each_claim():
    values = audit()
    before = copy.deepcopy(values)
    page = render_html(values)
    assert page == render_html(values) and values == before
    for one in values["claims"]:
        row = re.search(rf'<tr id="{anchor(one["id"])}".*?</tr>', page, re.DOTALL)[0]
        assert f"</span> {one['verdict']}</span>" in row
        assert html.escape(one["command"], quote=False)[:8] in row
    assert "+9.0 points [+7.0, +11.0]" in page
    assert "+12.0 points" in page and "208 pairs: 31 won, 20 lost; McNemar p = 0.160" in page
    assert "McNemar p &lt; 0.001; Cohen's h +0.05; Holm p = 1.000 of 4 tests" in page
    assert "detectable: 6.1 points" in page
    assert "-0.200 in lift [-0.220, -0.180]" in page
    assert "48 pairs in 12 clusters; normal test p &lt; 0.001; Holm p = 1.000 of 2 tests" in page
    assert "no difference can be detected" in page
    assert "commit <code>0123456789ab | fedcba987654</code>" in page
    assert "0.312 [0.142, 0.556]" in page and "0.61 ± 0.01" in page and "0.605" in page
    assert "<script>document" not in page


def test_the_matrix_holds_each_verdict_once_and_links_to_its_evidence():
    values = audit()
    places = matrix(values["claims"])
    assert [(name, [line.title for line in lines]) for name, lines in places.items()] == [
        ("Table 1", ["Align beats Default", "Printed values"]),
        ("Table 10", ["Printed values"]),
        ("Figure 4", ["Attention leaves"]),
        ("Inside the paper", ["Statements that contradict each other"]),
        ("Text", ["Numbers outside the tables"]),
    ]
    lines = [line for of in places.values() for line in of]
    marked = sorted(one["id"] for line in lines for one in line.claims)
    assert marked == sorted(one["id"] for one in values["claims"] if one["kind"] != "value")
    assert sum(sum(line.counts.values()) for line in lines) == 5
    page = render_html(values)
    assert page.index('id="matrix"') < page.index('id="integrity"')
    links = re.findall(r'<a class="mark .*?</a>', page)
    assert len(links) == len(marked)
    for one in (one for one in values["claims"] if one["kind"] == "ordering"):
        (found,) = [link for link in links if f'href="#{anchor(one["id"])}"' in link]
        said = f"{one['label'] or one['text']}: {one['verdict']}"
        sign = LOOKS[one["verdict"]].sign
        assert f'<span aria-hidden="true">{sign}</span>' in found
        assert f'<span class="hidden-words">{said}</span>' in found
    assert '<a href="#section-Table-1">3 not comparable</a>' in page
    assert 'id="section-Table-1"' in page


def test_values_of_others_stand_apart_with_what_must_not_be_compared():
    values = audit()
    page = render_html(values)
    section = re.search(r'<section id="elsewhere".*?</section>', page, re.DOTALL)[0]
    assert "<b>Not to be compared:</b> Anything." in section and "owner/one" in section
    assert "Episodes: not stated." in section
    assert "0.2500" in section and "0.4211" in section
    assert "<script>" not in section and 'class="verdict' not in section
    assert 'href="#elsewhere"' in page
    assert 'id="elsewhere"' not in render_html(values | {"elsewhere": []})


def test_what_is_missing_is_named(tmp_path):
    values = audit()
    del values["claims"][0]["verdict"]
    with pytest.raises(UnblindError, match="verdict"):
        render_html(values)
    with pytest.raises(UnblindError, match=r"audit\.js is missing"):
        render_html(audit(), templates=tmp_path)


def test_nothing_run_and_nothing_wrong_is_a_page_too():
    values = audit() | {"integrity": [], "defects": [], "remark": ""}
    values["claims"] = values["claims"][3:5]
    values["facts"] |= {"commits": [], "seeds": []}
    page = render_html(values)
    assert 'id="integrity"' not in page and "no findings" in page and "no records" in page
