"""Headless Chromium from Debian, cut off from the network, for tests of pages."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

#: Asked of a page: for each text that is seen, its contrast with what lies behind it.
CONTRASTS = """
const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = (colour) => numbers(colour).slice(0, 3).map((c) => c / 255)
  .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const back = (node) => {
  const colour = getComputedStyle(node).backgroundColor;
  return numbers(colour)[3] === 0 ? back(node.parentElement) : colour;
};
const texts = [...document.body.querySelectorAll("*")].filter((node) => node.checkVisibility() &&
  [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()));
return texts.map((node) => {
  const both = [light(getComputedStyle(node).color), light(back(node))];
  return [(Math.max(...both) + 0.05) / (Math.min(...both) + 0.05), node.outerHTML.slice(0, 80)];
});
"""
_PATIENCE_S = 60  # for what a page's own scripts draw, on a busy machine


def _options(profile: Path) -> Options:
    options = Options()
    options.binary_location = shutil.which("chromium")
    # No updates of its parts; what else it would do on its own account, the driver switches off.
    for flag in ("headless", "disable-gpu", "disable-dev-shm-usage", "disable-component-update"):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={profile}")
    # It starts with an empty page: the new-tab page makes hundreds of requests.
    empty = {"session.restore_on_startup": 4, "session.startup_urls": ["about:blank"]}
    options.add_experimental_option("prefs", empty)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium refuses to start as root with it
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return options


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator["Page"]:
    """Start Chromium without a network, with a profile of its own; skip where there is none."""
    driver_path = shutil.which("chromedriver")
    if not driver_path or not shutil.which("chromium"):
        pytest.skip("no Chromium: run sh scripts/browser.sh as root")
    # Without the driver's path Selenium would look for one on the network.
    service = Service(executable_path=driver_path)
    driver = webdriver.Chrome(options=_options(profile), service=service)
    try:
        yield Page(driver)
    finally:
        driver.quit()


class Page:
    """What the tests do with a page; ``driver`` is Selenium's."""

    def __init__(self, driver):
        self.driver = driver
        self.tell("Network.enable")
        none = {"latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        self.tell("Network.emulateNetworkConditions", offline=True, **none)

    def tell(self, command: str, **values):
        """Send one command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(command, values)

    def ask(self, script: str, *values):
        """Run a script in the page and return what it returns."""
        return self.driver.execute_script(script, *values)

    def open(self, path: Path, after: str = "") -> None:
        """Load a file afresh; ``after`` is the address's part from # on."""
        if after:
            self.driver.get("about:blank")  # else it only moves within the page that is there
        self.driver.get(path.as_uri() + after)

    def wait_for(self, text: str) -> None:
        """Wait until the page shows a text; its scripts may draw it after it was loaded."""
        shown = "return document.body.innerText.includes(arguments[0])"
        message = f"the page never showed '{text}'"
        WebDriverWait(self.driver, _PATIENCE_S).until(lambda _: self.ask(shown, text), message)

    def size(self, width: int, height: int, dark: bool = False) -> None:
        """Set the window's size in CSS pixels and the preferred colours."""
        phone = {"deviceScaleFactor": 1, "mobile": width < 600}
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, **phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tell("Emulation.setEmulatedMedia", features=[scheme])

    def press(self, *keys: str, shift: bool = False) -> None:
        """Press keys on whatever has the focus."""
        chain = webdriver.ActionChains(self.driver)
        if shift:
            chain.key_down(Keys.SHIFT)
        chain.send_keys(*keys)
        if shift:
            chain.key_up(Keys.SHIFT)
        chain.perform()

    def complaints(self) -> list[str]:
        """Return what stands in the console since the last call: errors, exceptions, refusals."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Return every address asked for since the last call."""
        events = (json.loads(entry["message"]) for entry in self.driver.get_log("performance"))
        messages = [event["message"] for event in events]
        wanted = (one for one in messages if one["method"] == "Network.requestWillBeSent")
        return [one["params"]["request"]["url"] for one in wanted]
