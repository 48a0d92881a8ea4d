"""The page /docs in a headless Chromium: a prediction, a refusal, on a desk and on a phone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packages.serving.tests.conftest import CLASSES, FIRST, OF_CLASSES, Server, change, golden_rows, make_release

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SLOWLY = 120_000  # milliseconds that something may take on a busy machine
DESK, PHONE = (1280, 900), (390, 844)


@pytest.fixture
def browser(not_run: Any) -> Iterator[Browser]:
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        not_run("there is no Chromium here; `apt-get install chromium`, or your system's own way, brings it")
    if util.find_spec("playwright") is None:
        not_run("playwright is not installed. `make test SLOW=1` brings it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"], timeout=SLOWLY)
        yield browser
        browser.close()


def opened(browser: Browser, server: Server, size: tuple[int, int], scheme: Any, complaints: list[str]) -> Page:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    page.set_default_timeout(SLOWLY)
    page.on("console", lambda message: complaints.append(message.text) if "422" not in message.text else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request", lambda one: None if one.url.startswith((server.address, "data:")) else complaints.append(one.url)
    )
    page.goto(f"{server.address}/docs")
    return page


def test_a_person_asks_for_a_prediction_on_the_page(
    browser: Browser, serve: Callable[..., Server], store: Path
) -> None:
    server = serve("--store", str(store), "--pipeline", "flights").ready()
    complaints: list[str] = []
    page = opened(browser, server, DESK, "light", complaints)
    page.get_by_role("button", name="Predict").click()
    wanted = golden_rows()[0]["output"]["probability"]
    page.locator(".figure", has_text=f"{wanted:.4g}").wait_for()
    page.get_by_text(f"by {FIRST}").wait_for()

    page.get_by_label("distance").fill("0")
    page.get_by_label("carrier").fill("United")
    page.get_by_label("carrier").press("Enter")  # the keyboard is enough
    page.get_by_text("Not answered, for 2 reasons:").wait_for()
    page.get_by_text("It must be at least 1 miles, it is 0.").wait_for()
    assert page.evaluate("document.activeElement.getAttribute('aria-invalid')") == "true"
    assert page.get_by_label("distance").get_attribute("aria-invalid") == "true"

    page.get_by_role("button", name="The example again").click()
    page.get_by_role("button", name="Predict").click()
    page.locator(".figure", has_text=f"{wanted:.4g}").wait_for()
    command = page.locator("#curl").inner_text()
    assert f"curl {server.address}/v1/predict" in command
    assert '"origin":"LGA"' in command
    page.get_by_role("link", name="Model card").click()
    page.get_by_role("heading", name="Flights").wait_for()
    assert complaints == []


def test_a_label_and_each_probability_are_shown_and_a_name_is_only_a_name(
    browser: Browser, serve: Callable[..., Server], tmp_path: Path
) -> None:
    classes = ["early", "<script>throw 1</script>", 'late & "very"']
    outputs = [OF_CLASSES["outputs"][0] | {"name": f"probability[{name}]"} for name in classes]
    made = make_release(tmp_path, model="classes", **OF_CLASSES | {"classes": classes, "outputs": outputs})
    golden = json.loads((made / "golden.json").read_text(encoding="utf-8"))
    for row in golden["rows"]:
        row["output"] = {
            f"probability[{name}]": row["output"][f"probability[{old}]"]
            for name, old in zip(classes, CLASSES, strict=True)
        }
    change(made, golden=json.dumps(golden))
    server = serve("--release", str(made)).ready()
    complaints: list[str] = []
    page = opened(browser, server, DESK, "light", complaints)
    page.get_by_role("button", name="Predict").click()
    page.get_by_text(f"by {FIRST}").wait_for()
    wanted = server.predict(golden["rows"][0]["input"])[1]["predictions"][0]
    shown = page.locator(".figure").all_inner_texts()
    assert shown[0] == wanted["label"]
    assert [float(text) for text in shown[1:]] == pytest.approx([*wanted["probability"].values()], rel=1e-3)
    assert page.locator("dt").all_inner_texts()[2] == f"probability: {classes[1]}"
    assert complaints == []


def test_before_anything_is_deployed_the_page_says_so(
    browser: Browser, serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = serve("--store", str(tmp_path), "--pipeline", "flights")
    server.until(lambda: "nothing was deployed here yet" in str(server.get("/health/ready")))
    page = opened(browser, server, DESK, "light", [])
    page.get_by_role("heading", name="Not ready").wait_for()
    page.get_by_text("nothing was deployed here yet").wait_for()
    assert not page.get_by_role("button", name="Predict").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen_and_every_field_has_a_label(
    browser: Browser, serve: Callable[..., Server], store: Path, tmp_path: Path, scheme: str
) -> None:
    server = serve("--store", str(store), "--pipeline", "flights").ready()
    complaints: list[str] = []
    page = opened(browser, server, PHONE, scheme, complaints)
    page.get_by_role("button", name="Predict").click()
    page.get_by_text(f"by {FIRST}").wait_for()
    page.screenshot(path=tmp_path / f"phone-{scheme}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    assert page.evaluate("[...document.querySelectorAll('input, select')].every((box) => box.labels.length === 1)")
    small = "[...document.querySelectorAll('button, input, select')].filter((one) => one.offsetHeight && one.offsetHeight < 40)"
    assert page.evaluate(f"{small}.length") == 0  # a finger needs room
    assert complaints == []
