"""The report in headless Chromium, without a network: narrow and wide, light and dark, by keyboard.

It needs the group `browser` and a Chromium; `make test SLOW=1` brings the group. On CI their absence is a failure, on a
person's machine it is told as NOT RUN.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from onebutton_evaluation.report import Around, write_site

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FLIGHTS = Path(__file__).parents[1]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PAGES = ("index", "flight_delays")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    missing = [name for name, there in (("playwright", find_spec("playwright")), ("chromium", CHROMIUM)) if not there]
    if missing:
        message = f"NOT RUN: no {' and no '.join(missing)}. `make test SLOW=1` brings playwright, apt or brew Chromium"
        if os.environ.get("CI") and not os.environ.get("ACT"):  # act runs on a person's machine
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=120_000)
        yield started
        started.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("report")
    assert write_site({FLIGHTS: Around()}, target) == []
    return target


def opened(browser: Browser, file: Path, width: int, scheme: Any) -> Any:
    """Open a page without a network, and fail on any word in the console."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on(
        "request", lambda request: said.append(request.url) if not request.url.startswith(("file:", "data:")) else None
    )
    page.goto(file.as_uri())
    assert said == []
    return page


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [320, 375, 1280])
def test_no_page_is_wider_than_its_screen(browser: Browser, site: Path, name: str, width: int) -> None:
    page = opened(browser, site / f"{name}.html", width, "light")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    hidden = page.evaluate(
        """() => [...document.querySelectorAll('main p, main dd, h1, h2, figure')].filter(one => {
             const box = one.getBoundingClientRect(); return box.right > innerWidth + 1 && one.offsetParent; }).length"""
    )
    assert hidden == 0


CONTRAST = """() => {
  const light = text => { const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = one => { for (; one; one = one.parentElement) { const color = getComputedStyle(one).backgroundColor;
    if (!color.startsWith('rgba(0, 0, 0, 0')) return color; } return 'rgb(255, 255, 255)'; };
  return Math.min(...[...document.querySelectorAll('body *')]
    .filter(one => [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim())
                   && one.tagName !== 'STYLE' && !one.closest('svg'))
    .map(one => { const [a, b] = [light(getComputedStyle(one).color), light(behind(one))].sort((x, y) => y - x);
                  return (a + 0.05) / (b + 0.05); })); }"""


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_can_be_read_in_the_light_and_in_the_dark(
    browser: Browser, site: Path, name: str, scheme: str
) -> None:
    page = opened(browser, site / f"{name}.html", 1280, scheme)
    assert page.evaluate(CONTRAST) >= 4.5  # WCAG 2.2, AA
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}[scheme]


def test_the_story_is_seen_without_scrolling(browser: Browser, site: Path) -> None:
    page = opened(browser, site / "flight_delays.html", 1280, "light")
    months = page.locator("section", has_text="Late flights by month").locator("tbody tr")
    assert months.count() == 6
    last = months.last.bounding_box()
    assert last["y"] + last["height"] < 800
    left = {row.locator("th").inner_text(): row.locator(".dot").bounding_box()["x"] for row in months.all()}
    assert min(left, key=lambda name: left[name]) == "September"
    assert max(left, key=lambda name: left[name]) == "December"


def test_a_person_with_a_keyboard_reaches_everything(browser: Browser, site: Path) -> None:
    page = opened(browser, site / "index.html", 1280, "light")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "A":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/flight_delays.html")
    tables = page.evaluate("document.querySelectorAll('.scroll[tabindex=\"0\"]').length")
    assert tables == page.evaluate("document.querySelectorAll('table').length") > 3


def test_a_screen_reader_hears_the_months_as_rows_of_numbers(browser: Browser, site: Path) -> None:
    page = opened(browser, site / "flight_delays.html", 1280, "light")
    table = page.get_by_role("table", name="Share of late flights, observed and predicted")
    heard = table.aria_snapshot()
    assert 'rowheader "September"' in heard
    assert "13.7 %" in heard
    assert page.get_by_role("img", name="ROC").count() == 1
