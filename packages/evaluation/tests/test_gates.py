"""Gates over the results of a small pipeline that was judged for real: each must be able to fail, and to say why."""

import contextlib
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import InputError
from onebutton_evaluation import card
from onebutton_evaluation.champion import Champion
from onebutton_evaluation.checks import shown_worse
from onebutton_evaluation.declarations import load_declarations
from onebutton_evaluation.gatekeeping import gate_folder, gates
from onebutton_evaluation.judgement import judgement, write_judgement
from onebutton_evaluation.pages import render
from onebutton_evaluation.recompute import Computed
from onebutton_evaluation.report import Around, write_site
from onebutton_evaluation.robustness import Asked

GATES = """
[judging]
owner = "the owner"
answer = "answer"
prediction = "challenger"
metrics = ["share", "auc", "log_loss", "bias"]
champion = "auc"
tolerance = 0.03
unit = "unit"
minimum_rows = 50

[[slices]]
by = ["part"]
labels = { 3 = "EWR" }

[[slices]]
name = "one day"
where = "unit = 0"

[[perturbations]]
name = "nothing known"
columns = ["challenger"]
share = 0.9
"""
GATE = """
[[gates]]
id = "{id}"
check = "{check}"
why = "Because it matters."
"""
KINDS = {
    "holdout": ("holdout", 'contract = "contract.yaml"'),
    "auc-by-slice": ("limit", 'metric = "auc"\nslices = ["all", "part"]\nat_least = 0.60'),
    "few": ("limit", 'metric = "auc"\nslices = ["one day"]\nat_least = 0.5'),
    "calibration": ("number", 'number = "model.calibration_error"\nat_most = 0.1'),
    "champion": ("no-worse", 'than = "champion"\nprotected = ["part"]'),
    "blind": ("perturbed", 'perturbation = "nothing known"\nmetric = "auc"\nat_least = 0.4'),
    "fast": ("service", 'number = "p95_ms"\nat_most = 50'),
}
CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: predictions
status: active
schema:
  - name: predictions
    customProperties:
      - {{property: holdoutRows, value: {rows}}}
      - {{property: holdoutSha256, value: {digest}}}
    properties:
      - {{name: flight, logicalType: integer, primaryKey: true, primaryKeyPosition: 1}}
version: 1.0.0
team: {{name: us}}
"""
CARD = "\n".join(
    f'{name} = "written"'
    for name in ("title", "predicts", "owner", "data", "intended", "forbidden", "limits", "people")
)


class Pressed(NamedTuple):
    """What a press printed, and why it was refused; nothing when it was not."""

    printed: str
    refused: str = ""


class Pipeline:
    """A folder as the stages leave it, with a `dvc.lock` that holds the digest of each file."""

    def __init__(self, folder: Path, rows: pl.DataFrame) -> None:
        self.folder, self.rows = folder, rows.with_row_index("flight")

    def run(self) -> None:
        """Write everything for the first time."""
        self.folder.mkdir(parents=True)
        gates = "".join(GATE.format(id=name, check=check) + rest + "\n" for name, (check, rest) in KINDS.items())
        self.write("gates.toml", GATES + gates)
        self.write("card.toml", f'{CARD}\nmodel = "model.onnx"\n')
        self.write("metrics.json", json.dumps({"model": {"calibration_error": 0.03}}))
        self.write("model.onnx", "a model")
        self.write("dvc.yaml", "stages: {}\n")
        self.write("contract.yaml", CONTRACT.format(rows=0, digest="none"))
        self.judge(None)
        holdout = json.loads((self.folder / "slices.json").read_text(encoding="utf-8"))["holdout"]
        self.write("contract.yaml", CONTRACT.format(**holdout))
        self.seal()

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new))

    def judge(self, champion: pl.DataFrame | None, rows: pl.DataFrame | None = None) -> None:
        """Do what the stage `judge` does."""
        frame = self.rows if rows is None else rows
        asked = Asked(frame, lambda inputs: inputs["challenger"].fill_null(0.3).to_numpy())
        named = None if champion is None else Champion("v7", champion)
        said = load_declarations(self.folder / "gates.toml")
        write_judgement(judgement(frame, said, load_contract(self.folder / "contract.yaml"), asked, named), self.folder)

    def measure(self, p95: float) -> None:
        """Write what the server took with the model that is here."""
        digest = hashlib.sha256((self.folder / "model.onnx").read_bytes()).hexdigest()
        self.write("service.json", json.dumps({"p95_ms": p95, "model_sha256": digest}))

    def seal(self) -> None:
        """Write the `dvc.lock` of a run that read and wrote what is here."""
        read: list[str] = []
        wrote: list[str] = []
        for file in sorted(self.folder.glob("*.*")):
            if file.name == "dvc.lock":
                continue
            digest = hashlib.md5(file.read_bytes()).hexdigest()  # noqa: S324  DVC's own
            entry = f"path: {file.name}, md5: '{digest}', size: {file.stat().st_size}"
            (read if file.suffix in {".toml", ".yaml"} else wrote).append(f"    - {{{entry}}}")
        lines = ["stages:", "  judge:", "    cmd: judge", "    deps:", *read, "    outs:", *wrote]
        self.write("dvc.lock", "\n".join(lines) + "\n")

    def verdicts(self, results: dict[str, Any] | None = None) -> dict[str, tuple[str, str]]:
        found = gate_folder(self.folder, Computed(results or {}))
        return {one.id: (one.result, one.words) for one in found}

    def press(self, *, strict: bool = False) -> Pressed:
        """Press `make gates`: what it printed, and why it refused."""
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            try:
                gates([self.folder] if self.folder.exists() else [], strict=strict)
            except InputError as error:
                return Pressed(printed.getvalue(), str(error))
        return Pressed(printed.getvalue())


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, days: pl.DataFrame) -> Pipeline:
    one = Pipeline(tmp_path_factory.mktemp("gates") / "pipelines" / "example", days)
    one.run()
    return one


@pytest.fixture
def pipeline(finished: Pipeline, tmp_path: Path, days: pl.DataFrame) -> Pipeline:
    folder = tmp_path / "pipelines" / "example"
    shutil.copytree(finished.folder, folder)
    return Pipeline(folder, days)


def test_a_good_model_passes_and_what_was_not_measured_is_not_run(pipeline: Pipeline) -> None:
    results = {name: result for name, (result, _) in pipeline.verdicts().items()}
    assert results == dict.fromkeys(KINDS, "passed") | {"few": "NOT RUN", "fast": "NOT RUN"}


def test_the_first_release_goes_through_and_says_that_it_is_the_first(pipeline: Pipeline) -> None:
    assert pipeline.verdicts()["champion"] == ("passed", "first release: there is no champion yet")


def test_what_is_not_run_stops_only_those_who_ask_strictly(pipeline: Pipeline) -> None:
    plain, strict = pipeline.press(), pipeline.press(strict=True)
    assert not plain.refused
    assert "NOT RUN  few" in plain.printed
    assert "one day, not enough data: " in plain.printed
    summary = "5 of 8 gates passed; NOT RUN: results, few, fast."
    assert summary in " ".join(plain.printed.split())
    assert strict.refused
    assert "5 passed, 0 failed, 3 NOT RUN" in strict.refused


def test_too_few_of_one_answer_are_not_run_wherever_an_auc_decides(pipeline: Pipeline) -> None:
    late = pl.col("answer") == 1
    nine = pipeline.rows.filter(~late | (pl.col("flight").is_in(pipeline.rows.filter(late)["flight"].head(9))))
    pipeline.judge(nine.with_columns(challenger=pl.col("challenger") / 2), nine)
    found = pipeline.verdicts()
    needs = "; AUC needs 10 units with each answer"
    for gate, words in (
        ("auc-by-slice", f"not enough data: {nine.height:,} rows, 300 units{needs}"),
        ("champion", f"not enough data: {nine.height:,} rows, 300 units{needs}"),
        ("blind", f"not enough data with 'nothing known'{needs}"),
    ):
        assert found[gate][0] == "NOT RUN"
        assert words in found[gate][1]


def test_a_failed_gate_is_printed_with_its_why_and_the_owner_once_and_the_status_is_not_zero(
    pipeline: Pipeline,
) -> None:
    pipeline.edit("gates.toml", "at_least = 0.60", "at_least = 0.99")
    pipeline.seal()
    pressed = pipeline.press()
    assert pressed.refused
    assert "failed   auc-by-slice" in pressed.printed
    said = " ".join(pressed.printed.split())
    assert "the lower end must be at least 0.99. 9 slices failed: all, part 0" in said
    assert "Why: Because it matters." in said
    assert said.count("the owner") == 1


def test_a_likely_leak_is_told_where_the_holdout_is_judged(pipeline: Pipeline) -> None:
    pipeline.edit("slices.json", '"holdout": {', '"holdout": {"likely_leaks": ["rows share their day"],')
    pipeline.seal()
    result, words = pipeline.verdicts()["holdout"]
    assert result == "passed"
    assert words.endswith("as the contract pins them. Likely a leak: rows share their day")


def drop_hard_rows(pipeline: Pipeline) -> None:
    wrong = (pl.col("challenger") - pl.col("answer")).abs()
    pipeline.judge(None, pipeline.rows.filter(wrong < wrong.quantile(0.9)))


def swap_hard_rows(pipeline: Pipeline) -> None:
    """Take easy rows twice under new keys, so that the number is right."""
    wrong = (pl.col("challenger") - pl.col("answer")).abs()
    easy, hard = (pipeline.rows.filter(side) for side in (wrong < wrong.quantile(0.9), wrong >= wrong.quantile(0.9)))
    again = easy.head(hard.height).with_columns((pl.col("flight") + 1_000_000).alias("flight"))
    pipeline.judge(None, pl.concat([easy, again]))


def mix_up_answers(pipeline: Pipeline) -> None:
    random = np.random.default_rng(1).integers(0, 2, pipeline.rows.height)
    pipeline.judge(None, pipeline.rows.with_columns(answer=pl.Series(random)))


def say_the_same_of_all(pipeline: Pipeline) -> None:
    pipeline.judge(None, pipeline.rows.with_columns(challenger=0.3))


@pytest.mark.parametrize(
    ("gate", "fault", "words"),
    [
        ("holdout", drop_hard_rows, "rows were judged, the contract pins"),
        ("holdout", swap_hard_rows, "but other keys or answers. If they are right, pin holdoutRows"),
        ("holdout", mix_up_answers, "other keys or answers"),
        (
            "auc-by-slice",
            lambda one: one.edit("gates.toml", 'slices = ["all", "part"]', 'slices = ["prat"]'),
            "no slice or group is called 'prat'",
        ),
        ("auc-by-slice", mix_up_answers, "the lower end must be at least 0.6; worst of 8 slices: part "),
        ("auc-by-slice", say_the_same_of_all, "AUC 0.500, must be at least 0.6"),
        (
            "calibration",
            lambda one: one.edit("metrics.json", "0.03", "0.3"),
            "calibration error 0.300, must be at most 0.1",
        ),
        (
            "calibration",
            lambda one: one.edit("metrics.json", "calibration", "celebration"),
            "metrics.json has no number model.calibration_error",
        ),
        (
            "blind",
            lambda one: one.edit("gates.toml", "at_least = 0.4\n", "at_least = 0.6\n"),
            "AUC with nothing known 0.",
        ),
        ("fast", lambda one: one.measure(80), "p95 ms 80.00, must be at most 50"),
    ],
)
def test_each_gate_can_fail(pipeline: Pipeline, gate: str, fault: Callable[[Pipeline], None], words: str) -> None:
    fault(pipeline)
    pipeline.seal()
    found = pipeline.verdicts()
    assert "results" not in found
    assert found[gate][0] == "failed"
    assert words in found[gate][1]


def test_a_measured_service_passes_until_the_model_is_another(pipeline: Pipeline) -> None:
    pipeline.measure(8.5)
    assert pipeline.verdicts()["fast"] == ("passed", "p95 ms 8.500, at most 50")
    pipeline.write("model.onnx", "another model")
    result, words = pipeline.verdicts()["fast"]
    assert result == "NOT RUN"
    assert "needs a running server: `make deploy` measures it" in words


def spoilt(rows: pl.DataFrame, where: pl.Expr, seed: int = 5) -> pl.DataFrame:
    """Replace some predictions by noise around them."""
    noise = pl.Series(np.random.default_rng(seed).normal(0, 1.5, rows.height))
    odds = (pl.col("challenger") / (1 - pl.col("challenger"))).log() + noise
    return rows.with_columns(pl.when(where).then(1 / (1 + (-odds).exp())).otherwise("challenger").alias("challenger"))


def test_a_challenger_better_overall_and_worse_on_a_protected_slice_is_refused_by_the_slice_s_name(
    pipeline: Pipeline,
) -> None:
    on_ewr = pl.col("part") == 3
    pipeline.judge(spoilt(pipeline.rows, ~on_ewr), spoilt(pipeline.rows, on_ewr, 6))
    compared = json.loads((pipeline.folder / "comparison.json").read_text(encoding="utf-8"))["champion"]
    assert compared["verdict"] == "mixed"
    assert compared["slices"]["all"]["verdict"] == "better"
    result, words = pipeline.verdicts()["champion"]
    assert result == "failed"
    assert "; worst of 8 slices: part EWR, improvement in AUC over v7 -0." in words


def test_an_identical_challenger_is_the_same_but_for_the_slice_that_is_too_small(pipeline: Pipeline) -> None:
    pipeline.judge(pipeline.rows)
    result, words = pipeline.verdicts()["champion"]
    assert result == "passed"
    assert words.startswith(
        "improvement in AUC over v7 +0.000 (95 % interval +0.000 to +0.000), more than -0.03; worst of 8"
    )


def test_a_random_challenger_is_refused(pipeline: Pipeline) -> None:
    random = pl.Series(np.random.default_rng(9).random(pipeline.rows.height))
    pipeline.judge(pipeline.rows, pipeline.rows.with_columns(challenger=random))
    result, words = pipeline.verdicts()["champion"]
    assert result == "failed"
    assert words.startswith("improvement in AUC over v7 -0.")


def test_a_challenger_far_worse_on_a_protected_slice_is_refused_among_hundreds_of_slices(pipeline: Pipeline) -> None:
    """By log loss over few days; 150 slices besides, that nobody protects."""
    pipeline.edit("gates.toml", 'champion = "auc"', 'champion = "log_loss"')
    pipeline.edit("gates.toml", "minimum_rows = 50", "minimum_rows = 25")
    pipeline.edit(
        "gates.toml", '[[slices]]\nname = "one day"', '[[slices]]\nby = ["many"]\n\n[[slices]]\nname = "one day"'
    )
    rows = pipeline.rows.filter(pl.col("unit") < 150).with_columns(many=pl.int_range(pl.len()) % 150)
    pipeline.judge(rows, spoilt(rows, pl.col("part") == 3))
    compared = json.loads((pipeline.folder / "comparison.json").read_text(encoding="utf-8"))["champion"]
    assert len(compared["slices"]) > 126
    result, words = pipeline.verdicts()["champion"]
    assert result == "failed"
    assert "slices: part EWR, improvement in log loss over v7 -0." in words


def test_slices_that_a_gate_does_not_name_do_not_weaken_it() -> None:
    named: dict[str, Any] = {
        name: {"difference": {"estimate": estimate, "p": p}}
        for name, estimate, p in (("all", 0.01, 0.001), ("EWR", -0.02, 0.02), ("JFK", -0.01, 0.2))
    }
    assert shown_worse(named) == {"EWR"}  # twice 0.02 is under 0.05
    assert shown_worse(named | {"LGA": {"difference": {"estimate": -0.01, "p": 0.3}}}) == set()
    assert shown_worse({"EWR": {"verdict": "not enough data"}}) == set()


def test_a_gate_that_asks_for_better_refuses_a_model_that_is_only_no_worse(pipeline: Pipeline) -> None:
    pipeline.edit("gates.toml", 'than = "champion"\n', 'than = "champion"\nbetter = true\n')
    pipeline.judge(pipeline.rows)
    result, words = pipeline.verdicts()["champion"]
    assert result == "failed"
    assert "to +0.000), the lower end must be above 0; worst of 8 slices" in words
    pipeline.judge(spoilt(pipeline.rows, pl.col("part") >= 0))
    assert pipeline.verdicts()["champion"][0] == "passed"


@pytest.mark.parametrize(
    ("low", "shown"),
    [(0.694, "AUC 0.714 (95 % interval 0.694 to 0.734)"), (0.5999, "(95 % interval 0.5999 to 0.7340)")],
)
def test_a_number_has_as_many_digits_as_show_on_which_side_of_the_limit_it_is(
    pipeline: Pipeline, low: float, shown: str
) -> None:
    whole = {"group": "all", "metrics": {"auc": {"estimate": 0.714, "low": low, "high": 0.734}}}
    pipeline.edit("gates.toml", 'slices = ["all", "part"]', 'slices = ["all"]')
    assert shown in pipeline.verdicts({"slices.json": {"slices": {"all": whole}}})["auc-by-slice"][1]


def put_champion(pipeline: Pipeline, version: str) -> None:
    """Leave what `make deploy` leaves in a fresh clone: the name, and DVC's file about its predictions."""
    folder = pipeline.folder / "champion"
    folder.mkdir(exist_ok=True)
    (folder / "champion.txt").write_text(f"{version}\n", encoding="utf-8")
    (folder / "predictions.parquet.dvc").write_text("outs: []\n", encoding="utf-8")


def test_a_champion_of_after_the_comparison_is_refused_until_the_next_run(pipeline: Pipeline) -> None:
    put_champion(pipeline, "v7")
    assert pipeline.verdicts()["champion"] == (
        "failed",
        "compared with no champion, but champion/ holds v7 by now: `make run` compares with it",
    )
    assert pipeline.press().refused
    pipeline.judge(pipeline.rows)
    pipeline.seal()
    assert pipeline.verdicts()["champion"][0] == "passed"
    put_champion(pipeline, "v8")
    result, words = pipeline.verdicts()["champion"]
    assert result == "failed"
    assert words.startswith("compared with the champion v7, but champion/ holds v8 by now: `make run`")


def test_a_difference_that_these_rows_cannot_show_is_not_run_and_says_how_many_could(pipeline: Pipeline) -> None:
    pipeline.edit("gates.toml", "tolerance = 0.03", "tolerance = 0.0001")
    pipeline.judge(spoilt(pipeline.rows, pl.col("flight") % 50 == 0))
    pipeline.seal()
    result, words = pipeline.verdicts()["champion"]
    assert result == "NOT RUN"
    assert ": cannot tell with a tolerance of 0.0001; about " in words
    assert "rows are needed, there are" in words


@pytest.mark.parametrize(
    ("needed", "told"),
    [
        (30_000, "about 30,000 rows are needed, there are 20,000"),
        (16_000, "the 20,000 rows would do for two equal models, so this one may be a little worse"),
    ],
)
def test_who_has_more_rows_than_are_needed_is_not_told_to_bring_fewer(
    pipeline: Pipeline, needed: int, told: str
) -> None:
    pipeline.edit("gates.toml", 'protected = ["part"]', "protected = []")
    whole = {
        "group": "all",
        "verdict": "no difference",
        "rows": 20_000,
        "rows_needed": needed,
        "difference": {"estimate": -0.004, "low": -0.011, "high": 0.002, "p": 0.2},
    }
    compared = {"tolerance": 0.01, "name": "v7", "metric": "auc", "slices": {"all": whole}}
    words = "improvement in AUC over v7 -0.004 (95 % interval -0.011 to +0.002): cannot tell with a tolerance of 0.01; "
    assert pipeline.verdicts({"comparison.json": {"champion": compared}})["champion"] == ("NOT RUN", words + told)


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("metrics.json", "0.03", "0.02", "metrics.json is not what the stage judge wrote"),
        ("slices.json", '"unit": "unit"', '"unit": "week"', "slices.json is not what the stage judge wrote"),
        ("comparison.json", "first", "best", "comparison.json is not what the stage judge wrote"),
        ("gates.toml", "at_least = 0.60", "at_least = 0.10", "gates.toml is not what the stage judge read"),
        ("card.toml", 'limits = "written"', 'limits = "none"', "card.toml is not what the stage judge read"),
        ("contract.yaml", "", "", "contract.yaml is not what the stage judge read"),
        ("model.onnx", "a model", "another", "model.onnx is not what the stage judge wrote"),
    ],
)
def test_a_file_changed_by_hand_after_its_stage_is_caught(
    pipeline: Pipeline, file: str, old: str, new: str, words: str
) -> None:
    if file == "contract.yaml":
        pipeline.write(file, (pipeline.folder / file).read_text(encoding="utf-8") + "# looser\n")
    else:
        pipeline.edit(file, old, new)
    result, found = pipeline.verdicts()["results"]
    assert result == "failed"
    assert words in found
    assert pipeline.press().refused


def test_results_that_are_missing_make_their_gates_not_run_never_passed(pipeline: Pipeline) -> None:
    for name in ("slices.json", "comparison.json", "robustness.json", "metrics.json"):
        (pipeline.folder / name).unlink()
    found = pipeline.verdicts()
    assert "passed" not in {result for result, _ in found.values()}
    assert pipeline.press(strict=True).refused


def test_after_a_failed_stage_what_cannot_be_read_is_not_run_and_the_press_says_what_to_press(
    pipeline: Pipeline,
) -> None:
    (pipeline.folder / "slices.json").unlink()  # DVC takes away what a stage is about to write
    pipeline.write("comparison.json", '{"champion": {}}')  # as another version wrote it
    pipeline.seal()
    found = pipeline.verdicts()
    assert found["auc-by-slice"][0] == found["champion"][0] == "NOT RUN"
    assert (
        "slices.json cannot be read: No such file or directory. `make run` writes it again" in found["auc-by-slice"][1]
    )
    pressed = pipeline.press()
    assert pressed.refused.startswith("2 passed, 0 failed, 6 NOT RUN, of which 4 found no result to read")
    assert pressed.refused.endswith("Press `make run`: it says which stage failed and why. Then `make gates`")


def test_a_pipeline_that_was_never_run_or_declares_nothing_does_not_pass(pipeline: Pipeline) -> None:
    (pipeline.folder / "dvc.lock").unlink()
    assert pipeline.verdicts()["results"][0] == "NOT RUN"
    (pipeline.folder / "gates.toml").unlink()
    pressed = pipeline.press()
    assert pressed.refused
    assert "failed   gates-toml" in pressed.printed


def test_the_verdicts_of_a_draft_are_told_and_stop_nobody(pipeline: Pipeline) -> None:
    pipeline.edit("gates.toml", "at_least = 0.60", "at_least = 0.99")
    assert pipeline.press().refused
    pipeline.write("pyproject.toml", "[tool.onebutton]\ndraft = true\n")
    pressed = pipeline.press(strict=True)
    assert not pressed.refused
    assert "example, a draft." in pressed.printed
    assert pressed.printed.endswith("gates: 0 passed, 0 failed, 0 NOT RUN. Next: make report\n")
    assert "  failed   " in pressed.printed
    assert "This is a draft: its gates stop nobody, and it stays on your own machine." in " ".join(
        pressed.printed.split()
    )


def test_the_page_of_the_report_has_the_written_part_of_the_card_and_what_was_measured_of_the_server(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    pipeline.edit("card.toml", 'owner = "written"', 'owner = "<b>Ada</b> & co"')
    pipeline.edit("card.toml", 'people = "written"', 'people = ""')
    pipeline.measure(20.0)
    write_site({pipeline.folder: Around()}, tmp_path / "report")
    page = (tmp_path / "report/example.html").read_text(encoding="utf-8")
    assert "p95 ms 20.00" in page
    assert "&lt;b&gt;Ada&lt;/b&gt; &amp; co" in page
    assert "nobody has written this yet" in page


def test_a_repo_without_pipelines_has_nothing_to_judge(pipeline: Pipeline) -> None:
    shutil.rmtree(pipeline.folder)
    assert not pipeline.press(strict=True).refused


def test_the_card_holds_the_numbers_of_the_results_and_the_words_of_people(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pipeline.folder)
    pipeline.edit("card.toml", 'people = "written"', 'people = ""')
    pipeline.measure(20.0)  # by a run before
    card.main()
    text = Path("card.md").read_text(encoding="utf-8")
    page = render("card.html", **card.read_card(pipeline.folder, load_declarations()))
    auc = json.loads(Path("slices.json").read_text(encoding="utf-8"))["slices"]["all"]["metrics"]["auc"]
    shown = f"{auc['estimate']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})"
    judged = ("5 of 7 gates passed", "needs a running server", "answer, %")
    for written in (text, page):
        assert shown in written
        assert all(words in written for words in judged)
        assert "nobody has written this yet" in written
        assert "first release: there is no champion yet" in written
        assert hashlib.sha256(b"a model").hexdigest() in written
    assert json.loads(Path("verdicts.json").read_text(encoding="utf-8"))["auc-by-slice"]["result"] == "passed"
    assert "fast" not in json.loads(Path("verdicts.json").read_text(encoding="utf-8"))  # a server is measured later
