"""The audit's page in a real browser."""

import urllib.parse

import pytest
from browser import CONTRASTS, chromium
from made_up_audit import EVIL, audit
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from unblind.audit.html import anchor, groups, render_html
from unblind.audit.verdicts import VERDICTS


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("a results folder") / "audit.html"
    path.write_text(render_html(audit()), encoding="utf-8")
    return path


@pytest.fixture
def page(browser, file):
    browser.size(1440, 900)
    browser.open(file)
    yield browser
    assert browser.complaints() == []


def shown(page):
    script = "return [...document.querySelectorAll('tr[data-verdict]')]"
    return page.ask(f"{script}.filter((row) => row.checkVisibility()).map((row) => row.id)")


def count(page):
    return page.ask("return document.querySelector('[role=status]').textContent")


def click(page, selector):
    page.driver.find_element("css selector", selector).click()


#: The claims in the order of the page.
SHOWN = [one for group in groups(audit()["claims"]) for one in group.claims]
TABLE_1 = [anchor(one["id"]) for one in SHOWN if one["table"] == "1"]


def test_loads_without_network_and_asks_for_nothing_else(browser, file):
    browser.requests()
    browser.open(file)
    assert set(browser.requests()) - {"data:,"} == {file.as_uri()}
    assert browser.complaints() == []
    assert (
        len(shown(browser)) == len(SHOWN)
        and count(browser) == f"{len(SHOWN)} of {len(SHOWN)} claims shown"
    )


def test_hostile_text_stays_text(page):
    assert page.driver.title == "Audit of the published claims (mini)"
    row = page.driver.find_element("id", anchor("sum-of-rows"))
    assert row.find_element("css selector", "th b").text == EVIL
    command = row.find_element("css selector", ".command")
    assert command.get_property("textContent") == f"unblind {EVIL}"
    assert len(page.driver.find_elements("css selector", "script")) == 1
    # The policy of the page refuses a script that is not its own, should one ever get in.
    page.ask("""const s = document.createElement("script"); s.textContent = "document.title = 1";
             document.body.append(s); const b = document.querySelector("h1");
             b.setAttribute("onclick", "document.title = 2"); b.click(); s.remove();""")
    assert page.driver.title == "Audit of the published claims (mini)"
    assert all("Content Security Policy" in line for line in page.complaints())


def test_filters_by_verdict(page):
    pressed = (
        "return [...document.querySelectorAll('[aria-pressed=true]')].map((b) => b.dataset.show)"
    )
    for verdict in VERDICTS:
        click(page, f"button[data-show='{verdict}']")
        wanted = [anchor(one["id"]) for one in SHOWN if one["verdict"] == verdict]
        assert shown(page) == wanted and 0 < len(wanted) < len(SHOWN)
        assert count(page) == f"{len(wanted)} of {len(SHOWN)} claims shown"
        assert page.ask(pressed) == [verdict]
    click(page, f"button[data-show='{verdict}']")  # the same again takes it back
    assert len(shown(page)) == len(SHOWN) and page.ask(pressed) == [""]


def test_filters_by_table_and_words_and_verdict_together(page):
    page.driver.find_element("css selector", "#table option[value='1']").click()
    assert shown(page) == TABLE_1
    click(page, "button[data-show='not comparable']")
    page.driver.find_element("id", "text").send_keys("  TEX03 align")
    assert (
        shown(page) == ["claim-1/align/Tex03"] and count(page) == f"1 of {len(SHOWN)} claims shown"
    )
    headings = page.driver.find_elements("css selector", "section[data-group] h2")
    assert [one.text for one in headings if one.is_displayed()] == ["Table 1"]
    contents = page.driver.find_elements("css selector", ".contents li")
    assert [one.text for one in contents if one.is_displayed()] == [
        *("Table 1 (1)", "Other people's values (1)", "Defects of the release (3)")
    ]
    page.driver.find_element("id", "text").send_keys(" nowhere")
    assert shown(page) == [] and count(page) == f"0 of {len(SHOWN)} claims shown"
    click(page, "#reset")
    assert len(shown(page)) == len(SHOWN)


def test_a_view_can_be_passed_on_by_its_address(page, file):
    click(page, "button[data-show='not run']")
    page.driver.find_element("css selector", "#table option[value='10']").click()
    address = urllib.parse.urlsplit(page.driver.current_url).fragment
    page.open(file)
    assert len(shown(page)) == len(SHOWN)
    page.open(file, f"#{address}")
    assert shown(page) == ["claim-10/layer-8/semantic", "claim-10/lambda-0.5/semantic"]
    page.open(file, "#verdict=nonsense&table=99")
    assert len(shown(page)) == len(SHOWN)


def test_every_verdict_links_to_its_records_and_shows_its_command(page, file):
    for one in audit()["claims"]:
        row = page.driver.find_element("id", anchor(one["id"]))
        page.ask("arguments[0].scrollIntoView({block: 'center'})", row)
        row.find_element("css selector", "summary").click()
        assert row.find_element("css selector", ".command").is_displayed()
        links = row.find_elements("css selector", "details a")
        assert [each.text for each in links] == one["records"]
        targets = [(file.parents[1] / file.parent.name / path[8:]) for path in one["records"]]
        assert [each.get_property("href") for each in links] == [path.as_uri() for path in targets]


def test_works_with_the_keyboard_alone(page):
    page.press(Keys.TAB)
    assert page.driver.switch_to.active_element.text == "Skip to the claims"
    assert page.driver.switch_to.active_element.rect["x"] >= 0
    page.press(Keys.ENTER)
    assert page.driver.switch_to.active_element.get_attribute("id") == "claims"
    page.press(Keys.TAB)
    assert page.driver.switch_to.active_element.tag_name == "summary"
    page.press(Keys.ENTER)
    assert page.ask("return document.activeElement.parentElement.open")
    page.ask("document.querySelector('[data-show=\"\"]').focus()")
    page.press(Keys.TAB, Keys.SPACE)  # the first verdict
    assert shown(page) == ["claim-reproduced"]
    outline = page.driver.switch_to.active_element.value_of_css_property("outline-style")
    assert outline == "solid"
    page.press(Keys.SPACE)
    while page.driver.switch_to.active_element.get_attribute("id") != "table":
        page.press(Keys.TAB)
    page.press(Keys.ARROW_DOWN)  # the first table
    assert shown(page) == TABLE_1


def test_each_mark_of_the_matrix_leads_to_its_claim_even_where_a_filter_hides_it(page):
    marks = page.driver.find_elements("css selector", "#matrix td .mark")
    assert len(marks) == sum(one["kind"] != "value" for one in SHOWN)
    heading = page.driver.find_element("id", "matrix-title")
    assert heading.rect["y"] < page.driver.find_element("id", "summary").rect["y"]
    click(page, "button[data-show='not run']")
    for mark in marks:
        page.ask("arguments[0].click()", mark)
        target = page.driver.find_element("id", mark.get_property("hash")[1:])
        assert target.is_displayed() and target.tag_name == "tr"
        verdict = target.get_attribute("data-verdict")
        assert mark.accessible_name.endswith(f": {verdict}")
        assert 0 <= page.ask("return arguments[0].getBoundingClientRect().top", target) < 900
    assert len(shown(page)) == len(SHOWN)


def test_the_matrix_is_one_column_on_a_phone_and_marks_can_be_touched(page):
    page.size(320, 844)
    marks = page.driver.find_elements("css selector", "#matrix td .mark")
    for box in (mark.rect for mark in marks):
        assert min(box["width"], box["height"]) >= 24  # WCAG 2.2, target size
        assert 0 <= box["x"] and box["x"] + box["width"] <= 320
    lefts = {e.rect["x"] for e in page.driver.find_elements("css selector", "#matrix tbody th")}
    assert len(lefts) == 1


_FOCUS_IS_SEEN = """
const one = document.activeElement, box = one.getBoundingClientRect();
return one.contains(document.elementFromPoint(box.left + 9, box.top + 2)) &&
  one.contains(document.elementFromPoint(box.left + 9, box.bottom - 2));
"""


def test_what_has_the_focus_is_never_under_the_filter(page):
    page.ask("[...document.querySelectorAll('summary')].at(-1).focus()")
    for _ in SHOWN[1:]:
        page.press(Keys.TAB, shift=True)
        # Scrolling follows the key by a frame or more.
        WebDriverWait(page.driver, 30, 0.02).until(lambda _: page.ask(_FOCUS_IS_SEEN))


_OUT_OF_THEIR_CELLS = """
const end = (node) => node.getBoundingClientRect().right;
return [...document.querySelectorAll("td *, th *")]
  .filter((node) => end(node) > end(node.closest("td, th")) + 1).map((node) => node.outerHTML);
"""


def test_nothing_is_wider_than_the_window_or_its_cell(page):
    page.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for width in (320, 390, 768, 896, 1440):
        page.size(width, 844)
        assert page.ask(_OUT_OF_THEIR_CELLS) == []
        assert page.ask("return document.documentElement.scrollWidth") <= width
        assert page.ask("return window.innerWidth") == width


def test_contrast_is_enough_in_both_colour_schemes(page):
    backs = set()
    for dark in (False, True):
        page.size(1440, 900, dark)
        backs.add(page.ask("return getComputedStyle(document.body).backgroundColor"))
        contrasts = page.ask(CONTRASTS)
        assert len(contrasts) > 100
        assert [(ratio, text) for ratio, text in contrasts if ratio < 4.5] == []
    assert len(backs) == 2
