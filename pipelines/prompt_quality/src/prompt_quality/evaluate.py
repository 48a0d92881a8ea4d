"""Judge prompts: the one that `params.yaml` names by every gate, and each against the champion, over all slices.

An answer that is none of the labels, or an error, is a wrong answer. The lexicon of vaderSentiment, which costs nothing, is the
baseline that a prompt must beat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import InputError, run_stage
from onebutton_contracts.tables import read_parquet, write_parquet
from onebutton_evaluation.champion import CHAMPION
from onebutton_evaluation.comparison import compare
from onebutton_evaluation.curves import curves
from onebutton_evaluation.declarations import Declarations, Judging, load_declarations
from onebutton_evaluation.judgement import COMPARISON, judgement, write_judgement, write_text
from onebutton_evaluation.metrics import metrics, metrics_by, read_rows
from onebutton_evaluation.pages import render_text
from onebutton_evaluation.robustness import Asked
from onebutton_evaluation.slices import ALL, Slice, find_slices
from prompt_quality.params import EvaluateParams, Params
from prompt_quality.prompts import PARAPHRASED, champion, read_prompts

LEXICON, BY = "lexicon", "source"
CLEAR = 0.05  # of the lexicon's score from -1 to 1: its authors call a sentence neutral in between
DECIDED = {"better", "worse"}
EXAMPLES = 5  # of what a prompt gets right where the champion does not, and the other way round


def lexicon_labels(texts: pl.Series) -> list[str]:
    """Label sentences by the lexicon and its rules (Hutto and Gilbert 2014)."""
    analyzer = SentimentIntensityAnalyzer()
    scores = [analyzer.polarity_scores(text)["compound"] for text in texts]
    return ["positive" if score >= CLEAR else "negative" if score <= -CLEAR else "neutral" for score in scores]


def as_columns(labels: pl.Series, answers: pl.Series, judging: Judging, name: str) -> list[pl.Series]:
    """Write labels as one column a class, 1 where it was called; what is no label is a class that is wrong."""
    wrong = answers.replace_strict(judging.classes, [*judging.classes[1:], judging.classes[0]])
    called = labels.zip_with(labels.is_in(judging.classes), wrong)
    columns = zip(judging.classes, judging.predicted(name), strict=True)
    return [(called == label).cast(pl.Float64).alias(column) for label, column in columns]


def put_together(sentences: pl.DataFrame, answers: pl.DataFrame, judging: Judging, judged: str) -> pl.DataFrame:
    """Put the answers to every prompt, and those of the lexicon, beside their sentences.

    Args:
        sentences: as `ingest` writes them, in the order of their key.
        answers: as `answer` writes them; of several repetitions the first counts.
        judging: names the columns.
        judged: the prompt that gates are about.

    Returns:
        For each prompt one column a class, called by its name; those of the judged one as `judging.prediction` says, and its `label`.
    """
    called = {LEXICON: pl.Series(lexicon_labels(sentences["text"]))}
    for (prompt,), found in answers.filter(repetition=0).group_by("prompt", maintain_order=True):
        known = sentences.select("id").join(found, on="id", how="left", maintain_order="left")
        called[str(prompt)] = known["label"].fill_null("")
    columns = [called[judged].alias("label")]
    for name, labels in (called | {judging.prediction: called[judged]}).items():
        columns += as_columns(labels, sentences["sentiment"], judging, name)
    return sentences.with_columns(columns)


def spent(answers: pl.DataFrame, dollars: float) -> dict[str, float]:
    """Sum up how long answers took, what they cost, how many are none of the labels, and how often two of the same agree.

    Returns:
        By name; `consistent` is about the same words asked again, `consistent_in_other_words` about paraphrases.
    """
    label, error = pl.col("label"), pl.col("error")
    agree = answers.group_by("id").agg(label.n_unique() == 1).select(pl.col("label").mean().alias("consistent"))
    found = answers.select(
        seconds_p95=pl.col("seconds").quantile(0.95),
        dollars_per_1000=pl.col("tokens").mean() * dollars / 1000,
        malformed=((label == "") & (error == "")).mean(),
        errors=(error != "").mean(),
    )
    first = answers.filter(repetition=0).select("id", "label")
    other = first.filter(pl.col("id").str.ends_with(PARAPHRASED)).with_columns(
        pl.col("id").str.strip_suffix(PARAPHRASED)
    )
    alike = other.join(first, on="id").select(consistent_in_other_words=(label == pl.col("label_right")).mean())
    numbers = pl.concat([found, agree, alike], how="horizontal").row(0, named=True)
    return {name: round(float(value), 6) for name, value in numbers.items() if value is not None}


def verdict(name: str, found: Mapping[str, Any], words: str) -> str:
    """Say what became of a prompt beside the champion, of what `compare` found, and by which metric in words."""
    than, whole = found["name"], found["slices"][ALL]
    others = {place: one["verdict"] for place, one in found["slices"].items() if place != ALL}
    differ = [f"{said} on {place}" for place, said in others.items() if said in DECIDED]
    elsewhere = ", ".join(differ) or "no slice differs that this many sentences could show"
    if whole["verdict"] in DECIDED:
        here, low, high = (f"{100 * whole['difference'][end]:+.1f}" for end in ("estimate", "low", "high"))
        points = f"{here} points of {words} (95 % interval {low} to {high})"
        return f"{name} is {whole['verdict']} than {than} by {points}; {elsewhere}"
    tolerance = f"a difference of {100 * found['tolerance']:g} points"
    more = (whole["rows_needed"] or 0) - whole["rows"]
    need = f"{more:,} more sentences would show {tolerance}" if more > 0 else f"{tolerance} would have been seen"
    return f"{name} beside {than}: cannot tell: {need}; {elsewhere}"


def side_by_side(sentences: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Put the label that each prompt gave, in a column of its name, beside each sentence.

    Sentences on which prompts differ stand first, and of those what people felt most strongly about.
    """
    first = answers.filter(repetition=0).pivot("prompt", index="id", values="label")
    beside = sentences.select("id", "source", "text", "sentiment", "rating").join(first, on="id", how="left")
    alike = pl.concat_list(pl.exclude(sentences.columns)).list.n_unique() == 1
    return beside.sort(alike, pl.col("rating").abs(), "id", descending=[False, True, False])


def examples(beside: pl.DataFrame, ours: str, theirs: str) -> dict[str, list[dict[str, str]]]:
    """Choose sentences that one prompt gets right and the other does not."""
    right = {name: pl.col(name) == pl.col("sentiment") for name in (ours, theirs)}
    sides = {"better": right[ours] & ~right[theirs], "worse": right[theirs] & ~right[ours]}
    kept = ["text", "sentiment", ours, theirs]
    return {side: beside.filter(mask).head(EXAMPLES).select(kept).to_dicts() for side, mask in sides.items()}


def compare_all(
    frame: pl.DataFrame, parts: Sequence[Slice], said: Declarations, names: Sequence[str], than: str
) -> dict[str, dict[str, Any]]:
    """Compare every prompt but the champion with it."""
    return {name: compare(frame, parts, replace(said.judging, prediction=name), than) for name in names if name != than}


def numbers_of(
    frame: pl.DataFrame, answers: pl.DataFrame, said: Declarations, params: EvaluateParams
) -> dict[str, Any]:
    """Measure the judged prompt as `model`, the others and the lexicon by their names, and the judged one by source."""
    prompts = {name: name for name in answers["prompt"].unique(maintain_order=True) if name != params.prompt}
    columns = {"model": said.judging.prediction, **prompts, LEXICON: LEXICON}
    found: dict[str, Any] = {
        name: metrics(read_rows(frame, said.judging, column), said.judging, 1) for name, column in columns.items()
    }
    found["answers"] = {
        name: spent(answers.filter(prompt=prompt), params.dollars_per_million_tokens)
        for name, prompt in {"model": params.prompt, **prompts}.items()
    }
    return found | {f"by_{BY}": metrics_by(frame, BY, said.judging, 1)}


def filled(template: str, **values: object) -> str:
    """Fill one of the templates beside this module, with values of the names that stand in it."""
    return render_text(Path(__file__).with_name(f"{template}.jinja").read_text(encoding="utf-8"), **values)


def main() -> None:
    """Write the results of the judged prompt, and in `prompts.json` what is said of every prompt, with examples.

    Raises:
        InputError: `params.yaml` or `champion/champion.txt` names a prompt that is not there.
    """
    said, params, prompts = load_declarations(), Params.load().evaluate, read_prompts()
    if params.prompt not in prompts:
        raise InputError(f"params.yaml: evaluate.prompt is {params.prompt!r}. It can be: {', '.join(prompts)}")
    than, contract = champion(prompts), load_contract(Path("contracts/predictions.odcs.yaml"))
    sentences = read_parquet(Path("data/sentences.parquet"), "sentences", major=1)
    answers = pl.read_parquet("data/answers.parquet")
    frame = put_together(sentences, answers, said.judging, params.prompt)
    parts = find_slices(frame, said.slices)
    files = judgement(frame, said, contract, Asked(frame, lambda rows: rows["rating"].to_numpy()), champion=None)
    files[COMPARISON] = {
        CHAMPION: compare(frame, parts, said.judging, than),
        LEXICON: compare(frame, parts, said.judging, LEXICON),
    }
    decides, beside = said.judging.known()[said.judging.champion], side_by_side(sentences, answers)
    told = {
        name: one | {"in_words": verdict(name, one, decides.words)} | examples(beside, name, than)
        for name, one in compare_all(frame, parts, said, list(prompts), than).items()
    }
    write_parquet(frame.select(contract.column_names), Path("data/predictions.parquet"), contract)
    numbers = numbers_of(frame, answers, said, params)
    write_judgement(files | {"metrics.json": numbers, "prompts.json": {"champion": than, "prompts": told}})
    write_text(Path("summary.md"), filled("summary.md", than=than, told=told, numbers=numbers, judged=params.prompt))
    shown = {"heading": "Prompts side by side", "names": [than, *told], "rows": beside.to_dicts()}
    write_text(Path("data/prompts.html"), filled("prompts.html", prompts=prompts, told=told, **shown))
    Path("plots").mkdir(exist_ok=True)
    drawn = curves(read_rows(frame, said.judging), 1, parts)
    for name in ("confusion", "classes"):
        drawn[name].write_csv(f"plots/{name}.csv")
    print(*(one["in_words"] for one in told.values()), sep="\n")


if __name__ == "__main__":
    run_stage(main)
