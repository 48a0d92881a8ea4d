"""A number that somebody wrote is held to the model: a results file can be edited, and its digest as well."""

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from packages.evaluation.tests.test_evaluate import TASKS, write

from onebutton_contracts.errors import InputError
from onebutton_evaluation import evaluate
from onebutton_evaluation.gatekeeping import gate_folder
from onebutton_evaluation.recompute import Computed, compute, rescore
from onebutton_models.scoring import OnnxModel

READS = ["champion", "contracts", "data/train.parquet", "data/holdout.parquet", "model/model.onnx", "model/simple.onnx"]
JSON = ["slices.json", "comparison.json", "robustness.json", "metrics.json"]
OTHERS = ["data/predictions.parquet", "model/golden.json", "plots/roc.csv"]
DVC = """
stages:
  evaluate:
    cmd: python -m onebutton_evaluation.evaluate
    params: [evaluate, gates.toml: [judging]]
    deps: [{deps}]
    outs: [{outs}]
    plots: [plots/roc.csv: {{x: a}}, plots/importance.csv: {{x: a}}]
"""


def git(folder: Path, *words: str) -> None:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@acme.example"]
    subprocess.run(["git", *who, *words], cwd=folder, env=environment, check=True, capture_output=True)


def lock(folder: Path) -> None:
    """Write the `dvc.lock` of a run that wrote what stands here."""
    model = hashlib.md5((folder / "model/model.onnx").read_bytes()).hexdigest()  # noqa: S324  DVC's own
    lines = ["stages:", "  evaluate:", "    deps:", f"    - {{path: model/model.onnx, md5: '{model}'}}", "    outs:"]
    for file in [*JSON, *OTHERS]:
        digest = hashlib.md5((folder / file).read_bytes()).hexdigest()  # noqa: S324  DVC's own
        lines.append(f"    - {{path: {file}, md5: '{digest}'}}")
    (folder / "dvc.lock").write_text("\n".join(lines) + "\n", encoding="utf-8")


def commit(folder: Path, why: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", why)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A binary pipeline that was run and committed."""
    folder = tmp_path_factory.mktemp("judged")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write(folder, TASKS["binary"])
        text = DVC.format(deps=", ".join(READS), outs=", ".join([*JSON, *OTHERS[:2]]))
        (folder / "dvc.yaml").write_text(text, encoding="utf-8")
        (folder / "champion").mkdir()
        (folder / "champion/.gitkeep").touch()
        evaluate.main()
    lock(folder)
    git(folder, "init", "--quiet")
    commit(folder, "run")
    return folder


@pytest.fixture
def pipeline(finished: Path, tmp_path: Path) -> Path:
    """A clone of it, with its data."""
    git(tmp_path, "clone", "--quiet", str(finished), "pipeline")
    return tmp_path / "pipeline"


def forge(file: Path) -> None:
    """Write better numbers, as somebody would who wants a gate to turn green."""
    if file.suffix == ".parquet":
        pl.read_parquet(file).with_columns(probability=pl.col("answer").cast(pl.Float64)).write_parquet(file)
        return
    text = file.read_text(encoding="utf-8")
    number = next(number for number in re.split(r"[,\s}\]]+", text) if number.startswith("0.") and len(number) > 5)
    file.write_text(text.replace(number, "0.9999"), encoding="utf-8")


def test_honest_results_are_computed_again_and_found_to_hold(pipeline: Path) -> None:
    found = compute(pipeline)
    assert (list(found.wrong), found.unknown) == ([], "")
    for name in JSON:
        assert found.results[name] == json.loads((pipeline / name).read_text(encoding="utf-8"))


def test_every_result_forged_at_once_turns_the_gates_red_and_the_models_own_numbers_are_judged(pipeline: Path) -> None:
    honest = {one.id: one.words for one in gate_folder(pipeline, compute(pipeline))}
    for file in [*JSON, *OTHERS]:
        forge(pipeline / file)
    lock(pipeline)
    commit(pipeline, "better numbers")
    results, *others = gate_folder(pipeline, compute(pipeline))
    assert (results.id, results.result) == ("results", "failed")
    assert {file for file in [*JSON, *OTHERS] if file in results.words} == {*JSON, *OTHERS}
    assert {one.id: one.words for one in others} == honest


def test_a_number_forged_in_the_last_commit_is_found_after_a_run_wrote_over_it(pipeline: Path) -> None:
    honest = (pipeline / "slices.json").read_bytes()
    forge(pipeline / "slices.json")
    commit(pipeline, "better numbers")
    (pipeline / "slices.json").write_bytes(honest)
    (words,) = compute(pipeline).wrong
    assert words.startswith("slices.json at HEAD is not what comes out")
    assert re.search(r'line \d+ says "\w+": 0.9999, computed "\w+": 0\.', words)


def test_results_of_another_model_are_not_held_against_the_last_commit(pipeline: Path) -> None:
    forge(pipeline / "slices.json")
    commit(pipeline, "the model before")
    git(pipeline, "checkout", "--quiet", "HEAD~1", "--", "slices.json")
    text = (pipeline / "dvc.lock").read_text(encoding="utf-8")
    (pipeline / "dvc.lock").write_text(
        text.replace("model/model.onnx, md5: '", "model/model.onnx, md5: 'other"), encoding="utf-8"
    )
    assert compute(pipeline).wrong == []


@pytest.mark.slow
def test_the_last_digits_may_differ_as_far_as_params_allow_and_counts_may_not(pipeline: Path) -> None:
    with (pipeline / "params.yaml").open("a", encoding="utf-8") as file:
        file.write("reproduce: {tolerance: 0.001}\n")
    numbers = json.loads((pipeline / "metrics.json").read_text(encoding="utf-8"))
    numbers["model"]["auc"] += 0.0004
    (pipeline / "metrics.json").write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    assert compute(pipeline).wrong == []
    numbers["model"]["rows"] += 1
    (pipeline / "metrics.json").write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    assert compute(pipeline).wrong == [
        'metrics.json is not what comes out: line 3 says "rows": 601, computed "rows": 600'
    ]


@pytest.mark.parametrize("file", ["model/model.onnx", "data/holdout.parquet"])
def test_without_model_or_data_nothing_is_computed_and_nothing_passes_for_it(pipeline: Path, file: str) -> None:
    (pipeline / file).unlink()
    found = compute(pipeline)
    assert found == Computed(unknown=found.unknown)
    assert f"{file} is not here" in found.unknown
    verdict = gate_folder(pipeline, found)[0]
    assert (verdict.id, verdict.result) == ("results", "NOT RUN")


@pytest.fixture
def champion(pipeline: Path, tmp_path: Path) -> Path:
    """The release of a champion, which is the simple baseline, and its predictions in `champion/`."""
    release = tmp_path / "20261101-aaaaaaaa"
    release.mkdir()
    (release / "model.onnx").write_bytes((pipeline / "model/simple.onnx").read_bytes())
    kept = pl.read_parquet(pipeline / "data/predictions.parquet").drop("probability")
    answers = OnnxModel(release / "model.onnx").predict(pl.read_parquet(pipeline / "data/holdout.parquet"))
    kept.with_columns(probability=pl.Series(answers).cast(pl.Float64)).write_parquet(
        pipeline / "champion/predictions.parquet"
    )
    (pipeline / "champion/champion.txt").write_text(release.name + "\n", encoding="utf-8")
    return release


@pytest.mark.parametrize("sealed", [True, False])
def test_a_champion_made_worse_by_hand_is_answered_again_by_its_own_release(
    pipeline: Path, champion: Path, monkeypatch: pytest.MonkeyPatch, *, sealed: bool
) -> None:
    monkeypatch.chdir(pipeline)
    file = pipeline / "champion/predictions.parquet"
    if sealed:
        shutil.copyfile(file, champion / file.name)
    evaluate.main()
    commit(pipeline, "compared with the champion")
    assert compute(pipeline, champion).wrong == []
    pl.read_parquet(file).with_columns(probability=pl.lit(0.5) + pl.col("row") * 1e-5).write_parquet(file)
    evaluate.main()  # a run believes what is there
    commit(pipeline, "better than the champion")
    honest, believed = compute(pipeline, champion), compute(pipeline)
    assert believed.wrong == []
    assert honest.wrong[0].startswith("champion/predictions.parquet is not what 20261101-aaaaaaaa answers")
    assert any(words.startswith("comparison.json is not what comes out") for words in honest.wrong)


def without_second(pipeline: Path) -> None:
    """Take an input out of both tables, and train a model that does without."""
    for name in ("train", "holdout"):
        file = pipeline / f"data/{name}.parquet"
        pl.read_parquet(file).drop("second").write_parquet(file)
    shutil.copyfile(pipeline / "model/simple.onnx", pipeline / "model/model.onnx")


def other_values(pipeline: Path) -> None:
    """Write the values of an input in another unit, as cleaning does, in place."""
    for name in ("train", "holdout"):
        file = pipeline / f"data/{name}.parquet"
        pl.read_parquet(file).with_columns(pl.col("first") / 100).write_parquet(file)


def without_first(holdout: Path) -> None:
    """Take out what the champion reads."""
    pl.read_parquet(holdout).drop("first").write_parquet(holdout)


@pytest.mark.slow
@pytest.mark.parametrize("change", [without_second, other_values])
def test_where_inputs_changed_a_champion_is_believed_by_what_it_was_released_with(
    change: Callable[[Path], None], pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pipeline)
    release = tmp_path / "20261101-bbbbbbbb"
    release.mkdir()
    shutil.copyfile(pipeline / "model/model.onnx", release / "model.onnx")
    for folder in (release, pipeline / "champion"):
        shutil.copyfile(pipeline / "data/predictions.parquet", folder / "predictions.parquet")
    (pipeline / "champion/champion.txt").write_text(release.name + "\n", encoding="utf-8")
    change(pipeline)
    evaluate.main()
    commit(pipeline, "other inputs")
    assert compute(pipeline, release).wrong == []
    (release / "predictions.parquet").write_bytes(b"others")
    wrong = " ".join(compute(pipeline, release).wrong)
    assert "champion/predictions.parquet is not what 20261101-bbbbbbbb answers or was released with" in wrong
    assert "Remove champion/champion.txt, then `make deploy PIPELINE=pipeline ENV=… TO=20261101-bbbbbbbb`" in wrong


@pytest.mark.parametrize("change", [lambda _: None, without_first])
def test_predictions_of_a_release_are_not_those_of_other_rows_that_took_their_keys(
    change: Callable[[Path], None], pipeline: Path, champion: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pipeline)
    shutil.copyfile(pipeline / "champion/predictions.parquet", champion / "predictions.parquet")
    holdout = pipeline / "data/holdout.parquet"
    rows = pl.read_parquet(holdout)
    rows.with_columns(row=rows["row"].reverse()).write_parquet(holdout)
    change(holdout)
    (wrong,) = rescore(pipeline, champion, pipeline.parent)
    assert wrong.startswith("the rows that judge have other keys or answers than when 20261101-aaaaaaaa was released")
    assert "Remove champion/champion.txt, then `make run`" in wrong


def test_a_champion_without_a_prediction_for_rows_that_judge_by_now_says_what_to_remove(
    pipeline: Path, champion: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pipeline)
    file = pipeline / "champion/predictions.parquet"
    pl.read_parquet(file).head(400).write_parquet(file)
    shutil.copyfile(file, champion / file.name)
    with pytest.raises(InputError, match=r"no prediction for 200 of 600 rows.* Remove champion/champion\.txt"):
        evaluate.main()
    (pipeline / "champion/champion.txt").unlink()
    evaluate.main()
    commit(pipeline, "a first release")
    assert compute(pipeline).wrong == []


@pytest.mark.parametrize("path", ["contracts", "model/simple.onnx"])
def test_a_stage_that_reads_what_it_does_not_declare_fails(pipeline: Path, path: str) -> None:
    text = (pipeline / "dvc.yaml").read_text(encoding="utf-8")
    (pipeline / "dvc.yaml").write_text(text.replace(f"{path}, ", "").replace(f", {path}", ""), encoding="utf-8")
    (words,) = compute(pipeline).wrong
    assert words.startswith("the stage evaluate failed when it was run with nothing but what dvc.yaml names")
    assert path in words
