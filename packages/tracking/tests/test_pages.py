"""What a person sees: MLflow's own pages over a mirrored run, in a headless Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from onebutton_tracking.commit import record
from onebutton_tracking.mirror import mirror

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SLOWLY = 120_000  # milliseconds that a page may take on a busy machine


@pytest.fixture
def page(not_run: Any) -> Iterator[Page]:
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        not_run("there is no Chromium here; `apt-get install chromium`, or your system's own way, brings it")
    if util.find_spec("playwright") is None:
        not_run("playwright is not installed. `make test SLOW=1` brings it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"], timeout=SLOWLY)
        page = browser.new_page(viewport={"width": 2000, "height": 1100})
        page.set_default_timeout(SLOWLY)
        yield page
        browser.close()


def test_a_run_its_curves_its_model_version_and_its_tags_are_on_the_page(
    checkout: Path, judged: Path, server: str, page: Page, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    record(checkout, {"train": 3.0}, {"train": 400.0})
    mirror(judged, server)
    client = MlflowClient(server, server)
    experiment = client.get_experiment_by_name("demo")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    commit = run.data.tags["mlflow.source.git.commit"]
    table = f"{server}/#/experiments/{experiment.experiment_id}/runs"
    place = f"{table}/{run.info.run_id}"

    assert (
        f"]({table.removeprefix(server + '/')}?viewStateShareKey=onebutton)" in experiment.tags["mlflow.note.content"]
    )
    page.goto(f"{table}?viewStateShareKey=onebutton")  # the link of the experiment's description, and of `make ui`
    shown = page.locator(".ag-root")
    for words in (
        "model.auc",
        "0.75",
        "onebutton.gates",
        "failed: log-loss",
        "onebutton.dirty",
        "true",
        "Version",
        commit[:6],
    ):
        shown.get_by_text(words, exact=True).first.wait_for()
    page.screenshot(path=tmp_path / "table.png")
    page.goto(place)
    for words in ("Demo, the card", run.info.run_name, "train.rate", "model.auc", "onebutton.dvc_lock", "data/raw"):
        page.get_by_text(words, exact=False).first.wait_for()

    page.goto(f"{place}/model-metrics")
    page.get_by_text("curves/by_month.auc", exact=False).first.wait_for()
    page.locator("svg.main-svg").first.wait_for()  # MLflow's chart

    page.goto(f"{server}/#/models/demo/versions/1")
    page.get_by_text("onebutton.sha256", exact=False).first.wait_for()
    page.get_by_text(run.info.run_name, exact=False).first.wait_for()
    page.screenshot(path=tmp_path / "version.png")
