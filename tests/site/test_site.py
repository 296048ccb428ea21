"""The whole site: its links, its numbers, its pages in a real browser, with records and without."""

import json
import posixpath
import urllib.parse
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
import studies
import synthetic
from browser import CONTRASTS, chromium
from made_up_audit import EVIL
from selenium.webdriver.common.keys import Keys

from unblind import png
from unblind.audit.commands import Commands
from unblind.report.render import percent, signed
from unblind.report.stats import wilson
from unblind.site import build as building
from unblind.site.build import MARKER, PAGES, build
from unblind.study import jobs, provenance


def make(config, out):
    return build(config, Commands(config, studies.MINI, studies.MINI), out)


def write_figure(config):
    """Write Figure 4 and its page as if they had been rendered."""
    import numpy as np

    job = jobs.Job(config, "figure4")
    made_from = {"config": job.settings, "code": job.stage.modules}
    for path in job.outputs:
        with provenance.record(path, **made_from, inputs=[studies.record(config)]):
            if path.suffix == ".png":
                path.write_bytes(png.encode(np.full((40, 60, 3), 90, np.uint8)))
            else:
                path.write_text(
                    f"# Figure 4 {EVIL}\n\n![Maps](figure4.png)\n\n|a|b|\n|--|--:|\n|1|2|\n"
                )


def write_film(config):
    """Write a file in the place of a film, and what it shows."""
    folder = Path(config.results, "films")
    folder.mkdir()
    (folder / "one film.mp4").write_bytes(b"no film")
    runs = [
        {"run": run, "label": f"{run} {EVIL}", "seed": 0, "success": run == "align"}
        for run in ("default", "freeze", "align")
    ]
    told = {"condition": "carrot", "episode_id": 2**63, "instruction": f"put carrot {EVIL}"}
    text = json.dumps(told | {"attention": True, "runs": runs})
    (folder / "one film.json").write_text(text)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of three methods with Table 1, a figure and a film."""
    config = studies.write(studies.settings(tmp_path_factory.mktemp("study") / "results"))
    studies.tabulate(config)
    write_figure(config)
    write_film(config)
    synthetic.write_attention(config, "align", 0)
    return config


@pytest.fixture(scope="module")
def site(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("a site") / "site"
    assert make(study, folder).problems == ()
    return folder


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The site of a study of which nothing is there."""
    folder = tmp_path_factory.mktemp("bare")
    make(studies.settings(folder / "results"), folder / "site")
    return folder / "site"


@pytest.fixture(params=["site", "bare"])
def either(request):
    return request.getfixturevalue(request.param)


# ---- files -----------------------------------------------------------------------------------


class Document(HTMLParser):
    """Ids, addresses, headings, pictures without a text, and text of a page."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.addresses, self.headings, self.mute = [], [], [], []
        self.words, self.stack = [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.ids += [told["id"]] if "id" in told else []
        self.addresses += [told[key] for key in ("href", "src") if key in told]
        self.headings += [int(tag[1])] if tag in ("h1", "h2", "h3", "h4") else []
        self.mute += [told] if tag == "img" and not told.get("alt") else []
        assert not any(key == "style" or key.startswith("on") for key in told), told

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def documents(folder):
    return {p.relative_to(folder).as_posix(): Document(p) for p in sorted(folder.rglob("*.html"))}


def test_every_link_leads_to_a_file_of_the_site_and_to_an_anchor_in_it(either):
    pages = documents(either)
    assert set(PAGES) <= set(pages)
    for name, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), name
        for address in set(page.addresses) - {"data:,"}:
            parts = urllib.parse.urlsplit(address)
            assert not parts.scheme and not parts.netloc, (name, address)
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), parts.path))
            target = urllib.parse.unquote(target) if parts.path else name
            assert (either / target).is_file(), (name, address)
            if parts.fragment:
                assert urllib.parse.unquote(parts.fragment) in pages[target].ids, (name, address)


def test_headings_are_in_order_and_pictures_have_a_text(either):
    for name, page in documents(either).items():
        assert page.headings[0] == 1 and page.headings.count(1) == 1, name
        assert all(b - a <= 1 for a, b in pairwise(page.headings)), name
        assert page.mute == [], name


def test_every_page_forbids_the_network(either):
    for path in either.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "Content-Security-Policy\" content=\"default-src 'none';" in text
        assert "<script src" not in text and "unsafe-eval" not in text


def test_the_list_names_every_file_with_its_checksum(site):
    from unblind.files import sha256

    told = json.loads((site / MARKER).read_text())["files"]
    there = {p.relative_to(site).as_posix(): p for p in site.rglob("*") if p.is_file()}
    assert set(told) == set(there) - {MARKER}
    assert all(sha256(there[name]) == digest for name, digest in told.items())
    assert {"figures/figure4.png", "films/one film.mp4", "pages/attention.html"} <= set(told)


# ---- numbers ---------------------------------------------------------------------------------


def row(site, name):
    """Return the row of a number or record on the page of records."""
    text = (site / "records.html").read_text(encoding="utf-8")
    return text.partition(f'<tr id="{name}"')[2].partition("</tr>")[0]


def test_a_cell_leads_to_path_checksum_and_command_of_its_record(site, study):
    table = (site / "table1.html").read_text(encoding="utf-8")
    low, high = wilson(14, 16)
    said = f"{percent(14 / 16)} [{percent(low)}, {percent(high)}]"
    assert 'href="records.html#cell-align-Plate"' in table and f">{said}</a>" in table
    number = row(site, "cell-align-Plate")
    assert said in number and "14 of 16 episodes" in number
    assert "--cell 1/align/Plate" in number and "align/0/plate.parquet" in number
    assert 'href="records.html#record-rollouts/align/0/plate.parquet"' in number
    record = row(site, "record-rollouts/align/0/plate.parquet")
    path = studies.record(study, "align", "plate")
    assert f"<code>{path.relative_to(study.results).as_posix()}</code>" in record
    assert provenance.read(path)["sha256"] in record
    assert "as its sidecar says" in record and "snakemake --cores all" in record


def test_the_sentence_follows_from_the_records(site):
    # Align wins 6 of 16 pairs in 12 conditions and none in Carrot.
    delta = 12 * 6 / 16 / 13
    text = documents(site)["index.html"].text
    assert "Align succeeds more often than Default" in text
    assert f"{signed(delta)} [" in text and "on 208 pairs" in text
    assert f"{signed(delta)} [" in row(site, "difference-align---default-all-13")
    assert "no evidence about models of 7 billion" in text
    # The paper's cells give 6.5 points.
    assert "+6.5 points" in text


def test_costs_are_those_of_the_sidecars(site, study):
    spent = [
        provenance.read(path)["cpu_s"]
        for path in Path(study.results).glob("rollouts/align/0/*.parquet")
    ]
    number = row(site, "cost-rollout-of-align")
    assert f">{sum(spent):,.0f}<" in number and number.count("<li>") == len(spent) == 14
    assert "not run, or not all of it" in documents(site)["costs.html"].text


def test_the_graph_tells_what_is_there(site):
    graph = (site / "stages.html").read_text(encoding="utf-8")
    assert '<a href="records.html#stage-rollout" class="state-all">' in graph
    assert '<a href="records.html#stage-attention" class="state-some">' in graph
    assert '<a href="records.html#stage-training" class="state-none">' in graph


def test_a_changed_record_changes_its_numbers_and_the_same_records_give_the_same_bytes(
    site, study, tmp_path
):
    path = studies.record(study, "align", "plate")
    sidecar = provenance.sidecar_path(path)
    kept = {one: one.read_bytes() for one in (path, sidecar)}
    before = {str(p.relative_to(site)): p.read_bytes() for p in site.rglob("*") if p.is_file()}
    out = tmp_path / "site"
    try:
        studies.rewrite(
            study,
            lambda f: f.assign(success_final=False, success_any=False),
            "align",
            "plate",
        )
        assert make(study, out).problems  # Table 1 on disk says otherwise
        assert "0 of 16 episodes" in row(out, "cell-align-Plate")
        assert f"{signed((11 * 6 - 8) / 16 / 13)} [" in documents(out)["index.html"].text
        path.write_bytes(path.read_bytes() + b"x")
        make(study, out)
        assert row(out, "cell-align-Plate") == "" and "Not run" in documents(out)["index.html"].text
        assert "refused" in row(out, "record-rollouts/align/0/plate.parquet")
        assert "not hold together" in documents(out)["index.html"].text
    finally:
        for one, content in kept.items():
            one.write_bytes(content)
    make(study, out)
    assert {
        str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()
    } == before


def test_without_a_record_everything_says_so(bare):
    pages = documents(bare)
    assert "Not run" in pages["index.html"].text and "make table1" in pages["index.html"].text
    assert "<circle" not in (bare / "index.html").read_text(encoding="utf-8")
    # Of every run and condition, and of every difference.
    assert pages["table1.html"].text.count("not run") >= 3 * 14
    assert "--side-by-side" in pages["films.html"].text
    assert "0 files behind the numbers" in pages["index.html"].text
    # Pages that the repository has published stand apart.
    published = sorted(Path("paper/published").glob("*.md"))
    listed = [name for name in pages if name.startswith("pages/")]
    assert listed == [f"pages/{path.stem}.html" for path in published]


def test_hostile_text_stays_text(site):
    for path in site.rglob("*.html"):
        assert "<script>document.title" not in path.read_text(encoding="utf-8")
    assert EVIL in documents(site)["films.html"].text


def test_what_is_no_site_is_not_replaced(study, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(building.UnblindError, match="is no site"):
        make(study, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


# ---- in a browser ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


_BROKEN = "return [...document.images].filter((i) => !i.naturalWidth).map((i) => i.src)"


@pytest.mark.parametrize("width", [1440, 390, 320])
def test_pages_fit_the_window_and_show_their_pictures(browser, either, width):
    browser.requests(), browser.complaints()
    for path in sorted(either.rglob("*.html")):
        browser.size(width, 844)
        browser.open(path)
        assert browser.ask(_BROKEN) == [], path
        assert browser.ask("return document.documentElement.scrollWidth") <= width, path
        assert browser.ask("return window.innerWidth") == width, path
    # Chromium's controls of films bring their pictures along, as data.
    asked = {address for address in browser.requests() if not address.startswith("data:")}
    assert [one for one in asked if not one.startswith(f"{either.as_uri()}/")] == []
    films = [line for line in browser.complaints() if "film.mp4" not in line]
    assert films == []


def test_the_first_screen_tells_question_answer_and_where_to_go(browser, site):
    for width, height in ((1440, 900), (390, 844)):
        browser.size(width, height)
        browser.open(site / "index.html")
        for selector in ("h1", "#asked", ".result", "nav.site", ".picture svg .dot"):
            box = browser.driver.find_element("css selector", selector).rect
            assert 0 <= box["y"] < height, selector
    browser.size(1440, 900)
    browser.open(site / "index.html")
    assert browser.driver.find_element("id", "where").rect["y"] < 900


def test_the_keyboard_reaches_a_cell_and_opens_its_record(browser, site):
    browser.size(1440, 900)
    browser.open(site / "table1.html")
    browser.press(Keys.TAB)
    assert browser.driver.switch_to.active_element.text == "Skip to the content"
    browser.press(Keys.ENTER)
    assert browser.driver.switch_to.active_element.get_attribute("id") == "main"
    seen = []
    while not seen or not seen[-1].endswith("#cell-default-ID"):
        browser.press(Keys.TAB)
        seen.append(browser.driver.switch_to.active_element.get_attribute("href") or "")
        assert len(seen) < 40
    outline = browser.driver.switch_to.active_element.value_of_css_property("outline-style")
    assert outline == "solid"
    browser.press(Keys.ENTER)
    assert browser.driver.current_url.endswith("/records.html#cell-default-ID")
    row = browser.driver.find_element("id", "cell-default-ID")
    assert row.find_element("css selector", ".command").is_displayed()
    link = row.find_element("css selector", "details a")
    browser.ask("arguments[0].focus()", link)
    browser.press(Keys.ENTER)
    target = browser.driver.find_element("id", "record-rollouts/default/0/in_distribution.parquet")
    assert 0 <= browser.ask("return arguments[0].getBoundingClientRect().top", target) < 900


def test_the_filter_of_records_hides_and_shows(browser, site):
    browser.size(1440, 900)
    browser.open(site / "records.html")
    browser.driver.find_element("id", "words").send_keys("Align, PLATE:")
    script = (
        "return [...document.querySelectorAll('tr[data-row]')].filter((r) => r.checkVisibility())"
    )
    assert browser.ask(f"{script}.map((r) => r.id)") == [
        "cell-align-MultiPlate",
        "cell-align-Plate",
    ]
    # An address of a row that is hidden shows it.
    browser.ask("location.hash = '#cell-default-ID'")
    assert browser.driver.find_element("id", "cell-default-ID").is_displayed()


def test_contrast_is_enough_in_both_colour_schemes(browser, site):
    for name in ("index", "table1", "stages", "records", "films"):
        backs = set()
        for dark in (False, True):
            browser.size(1440, 900, dark)
            browser.open(site / f"{name}.html")
            backs.add(browser.ask("return getComputedStyle(document.body).backgroundColor"))
            low = [(ratio, text) for ratio, text in browser.ask(CONTRASTS) if ratio < 4.5]
            assert low == [], name
        assert len(backs) == 2
