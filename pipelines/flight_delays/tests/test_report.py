"""The report of the results that are committed here: its words and numbers; its looks are in `test_report_in_a_browser.py`."""

import json
import re
import shutil
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest

from onebutton_evaluation.gatekeeping import gates
from onebutton_evaluation.report import Around, write_site

FLIGHTS = Path(__file__).parents[1]


class Reader(HTMLParser):
    """What a page holds, in order: tags and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        self.words = " ".join(self.words.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if not self.tags or self.tags[-1][0] != "style":
            self.words += f" {data}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the flights, without their data."""
    copy = tmp_path_factory.mktemp("site") / "pipelines" / "flight_delays"
    shutil.copytree(FLIGHTS, copy, ignore=shutil.ignore_patterns("data", "model", "src", "tests", ".code"))
    return copy


@pytest.fixture(scope="module")
def site(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("report")
    links = {"MLflow run 1234 (make ui)": "http://127.0.0.1:5000/#/runs/1234"}
    around = Around(links, "commit 1234abc of 2026-01-02")
    assert write_site({folder: around}, target) == []
    return target


@pytest.fixture(scope="module")
def page(site: Path) -> Reader:
    return Reader((site / "flight_delays.html").read_text(encoding="utf-8"))


def test_the_index_sums_up_what_is_predicted_how_well_beside_what_and_by_which_commit(site: Path) -> None:
    index = Reader((site / "index.html").read_text(encoding="utf-8"))
    for words in (
        "The probability that a scheduled flight from Newark, Kennedy or LaGuardia arrives 15 minutes late or more",
        "0.714 AUC 95 % interval 0.694 to 0.734",
        "Baseline (logistic regression) 0.693 (95 % interval 0.676 to 0.710)",
        "Result commit 1234abc of 2026-01-02",
        "7 of 9 gates passed; NOT RUN: latency-p95, throughput, which make deploy measures.",
        "Late flights by month: observed with 95 % interval",
    ):
        assert words in index.words, words
    assert "September 13.7 %" in index.words


def test_without_a_pipeline_the_index_names_the_button_that_makes_one(tmp_path: Path) -> None:
    write_site({}, tmp_path)
    assert "make new-pipeline NAME=churn" in Reader((tmp_path / "index.html").read_text(encoding="utf-8")).words


def test_a_draft_is_called_one(folder: Path, tmp_path: Path) -> None:
    draft = tmp_path / "pipelines" / "draft"
    shutil.copytree(folder, draft)
    project = draft / "pyproject.toml"
    project.write_text(f"{project.read_text(encoding='utf-8')}\n[tool.onebutton]\ndraft = true\n", encoding="utf-8")
    write_site({draft: Around()}, tmp_path / "report")
    words = Reader((tmp_path / "report" / "index.html").read_text(encoding="utf-8")).words
    assert "This is a draft: its gates stop nobody, and it stays on your own machine." in words


def test_terminal_page_and_card_count_the_same_gates_and_print_the_owner_once(
    folder: Path, page: Reader, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parents[1])
    gates([folder])
    declared = tomllib.loads((folder / "gates.toml").read_text(encoding="utf-8"))
    owner, count = declared["judging"]["owner"], len(declared["gates"])
    sentence = f"7 of {count} gates passed"
    # The copy has no data to compute from.
    uncomputed = f"7 of {count + 1} gates passed; NOT RUN: results"
    terminal = " ".join(capsys.readouterr().out.split())
    card = (folder / "card.md").read_text(encoding="utf-8").replace("\n", " ")
    for shown, said in ((terminal, uncomputed), (page.words, sentence), (card, sentence)):
        assert shown.count(owner.removeprefix("the ")) == 1
        assert said in shown
        assert all(gate["id"] in shown for gate in declared["gates"])


def test_verdicts_come_first_and_then_the_story_of_the_year(page: Reader) -> None:
    assert "7 of 9 gates passed; NOT RUN: latency-p95, throughput, which make deploy measures." in page.words
    story = "Late flights by month From 13.7 % in September to 33.5 % in December; in training 25.7 %."
    assert story in page.words
    assert (
        page.words.index("of 9 gates")
        < page.words.index(story)
        < page.words.index("AUC by slice")
        < page.words.index("ROC")
    )


def test_slices_stand_worst_first_with_the_numbers_of_the_results(page: Reader, folder: Path) -> None:
    slices = json.loads((folder / "slices.json").read_text(encoding="utf-8"))["slices"]
    judged = {name: one["metrics"]["auc"] for name, one in slices.items() if name != "all" and "auc" in one["metrics"]}
    ranked = sorted(judged, key=lambda name: judged[name]["estimate"])
    part = page.words[page.words.index("AUC by slice") : page.words.index("Curves")]
    places = [part.index(f"{name} {judged[name]['estimate']:.3f} {judged[name]['low']:.3f} to") for name in ranked]
    assert places == sorted(places)
    assert "Not enough data: to Honolulu (341 rows)." in part


def test_the_page_compares_with_champion_and_baseline(page: Reader, folder: Path) -> None:
    """Also in a fork that has deployed, and so has a champion."""
    said = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))["champion"]["in_words"]
    assert f"compared with the champion {said.lower()}." in page.words.lower()
    assert "Compared with logistic regression" in page.words


def test_every_page_is_whole_in_itself_and_every_link_leads_somewhere(site: Path) -> None:
    for file in site.glob("*.html"):
        text = file.read_text(encoding="utf-8")
        read = Reader(text)
        tags = [tag for tag, _ in read.tags]
        assert not {"script", "img", "iframe"} & set(tags)
        assert [one.get("href") for tag, one in read.tags if tag == "link"] == ["data:,"]
        assert re.findall(r"url\(|@import|src=", text) == []
        assert len(text) < 80_000
        for tag, attributes in read.tags:
            target = attributes.get("href") or ""
            if tag == "a" and not target.startswith(("#", "http://127.0.0.1")):
                assert (site / target).is_file(), target


def test_a_screen_reader_finds_language_headings_landmarks_and_names(site: Path) -> None:
    for file in site.glob("*.html"):
        read = Reader(file.read_text(encoding="utf-8"))
        tags = [tag for tag, _ in read.tags]
        assert tags.count("h1") == tags.count("main") == tags.count("title") == 1
        assert dict(read.tags)["html"]["lang"] == "en"
        for tag, attributes in read.tags:
            if tag in {"table", "svg"} or attributes.get("role") in {"region", "img"}:
                assert attributes.get("aria-label"), tag
            if tag == "th":
                assert attributes["scope"] in {"row", "col"}


def test_the_index_says_what_cannot_be_shown_and_why(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "pipelines" / "broken"
    shutil.copytree(folder, broken)
    (broken / "slices.json").unlink()
    (line,) = write_site({folder: Around(), broken: Around()}, tmp_path / "report")
    assert line.startswith("broken: ")
    index = Reader((tmp_path / "report" / "index.html").read_text(encoding="utf-8"))
    assert re.search(r"broken .*slices\.json cannot be read", index.words)
    assert "flight_delays" in index.words


def test_a_tampered_metric_is_the_first_thing_that_the_page_says(folder: Path, tmp_path: Path) -> None:
    edited = tmp_path / "pipelines" / "edited"
    shutil.copytree(folder, edited)
    metrics = edited / "metrics.json"
    metrics.write_text(metrics.read_text(encoding="utf-8").replace('"auc": 0.71', '"auc": 0.81', 1), encoding="utf-8")
    write_site({edited: Around()}, tmp_path / "report")
    words = Reader((tmp_path / "report" / "edited.html").read_text(encoding="utf-8")).words
    judged = r"7 of 10 gates passed; failed: results; NOT RUN: latency-p95, throughput\."
    assert re.search(rf"edited .* ✗ {judged} make deploy refuses it like this\.", words)
