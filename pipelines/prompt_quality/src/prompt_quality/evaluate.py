"""Judge prompts: the one that `params.yaml` names by every gate, and each against the champion, over all slices.

An answer that is none of the labels, or an error, is a wrong answer. The lexicon of vaderSentiment, which costs nothing, is the
baseline that a prompt must beat.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import require, run_stage
from onebutton_contracts.tables import read_parquet, write_parquet
from onebutton_evaluation.champion import CHAMPION
from onebutton_evaluation.comparison import compare
from onebutton_evaluation.curves import curves
from onebutton_evaluation.declarations import Declarations, Judging, load_declarations
from onebutton_evaluation.judgement import COMPARISON, judgement, write_judgement, write_text
from onebutton_evaluation.metrics import metrics, metrics_by, read_rows
from onebutton_evaluation.pages import render_file
from onebutton_evaluation.robustness import Asked
from onebutton_evaluation.slices import ALL, find_slices
from prompt_quality.params import EvaluateParams, Params
from prompt_quality.prompts import PARAPHRASED, champion, read_prompts

LEXICON = "lexicon"
CLEAR = 0.05  # of the lexicon's score from -1 to 1: its authors call a sentence neutral in between
EXAMPLES = 5  # of what a prompt gets right where the champion does not, and the other way round


def lexicon_labels(texts: pl.Series) -> list[str]:
    """Label sentences by the lexicon and its rules (Hutto and Gilbert 2014)."""
    analyzer = SentimentIntensityAnalyzer()
    scores = [analyzer.polarity_scores(text)["compound"] for text in texts]
    return ["positive" if score >= CLEAR else "negative" if score <= -CLEAR else "neutral" for score in scores]


def put_together(sentences: pl.DataFrame, answers: pl.DataFrame, judging: Judging, judged: str) -> pl.DataFrame:
    """Put the label that each prompt gave first, and that of the lexicon, beside its sentence, in a column of its name.

    Returns:
        Also one column a class for each of them, 1 where it was called; those of the judged prompt also as `judging.prediction`
        says, and its `label`. What is no label counts as a class that is wrong. Sentences on which prompts differ stand first,
        and of those what people felt most strongly about. A prompt that is called as a column is an `InputError`.
    """
    first = answers.filter(repetition=0).pivot("prompt", index="id", values="label")
    prompts = first.columns[1:]
    taken = ", ".join({*sentences.columns, LEXICON, "label", "model"}.intersection(prompts))
    require(not taken, f"prompts: a prompt cannot be called {taken}, as a column is; give its file another name")
    lexicon = pl.Series(LEXICON, lexicon_labels(sentences["text"]))
    wrong = pl.col(judging.answer).replace_strict(judging.classes, [*judging.classes[1:], judging.classes[0]])
    columns = [pl.col(judged).fill_null("").alias("label")]
    for name in (*prompts, LEXICON, judging.prediction):
        said = pl.col(judged if name == judging.prediction else name)
        called = pl.when(said.is_in(judging.classes)).then(said).otherwise(wrong)
        pairs = zip(judging.classes, judging.predicted(name), strict=True)
        columns += [(called == label).cast(pl.Float64).alias(column) for label, column in pairs]
    frame = sentences.with_columns(lexicon).join(first, on="id", how="left").with_columns(columns)
    alike = pl.concat_list(prompts).list.n_unique() == 1
    return frame.sort(alike, pl.col("rating").abs(), "id", descending=[False, True, False])


def spent(answers: pl.DataFrame, dollars: float) -> dict[str, float]:
    """Sum up how long answers took, what they cost, how many are none of the labels, and how often two of the same agree.

    Returns:
        By name; `consistent` is about the same words asked again, `consistent_in_other_words` about paraphrases.
    """
    label, error = pl.col("label"), pl.col("error")
    sentence = [pl.col("id").str.strip_suffix(PARAPHRASED), pl.col("repetition")]
    numbers = answers.select(
        seconds_p95=pl.col("seconds").quantile(0.95),
        dollars_per_1000=pl.col("tokens").mean() * dollars / 1000,
        malformed=((label == "") & (error == "")).mean(),
        errors=(error != "").mean(),
        consistent=(label.n_unique().over("id") == 1).mean(),
        consistent_in_other_words=(label.n_unique().over(sentence) == 1).filter(pl.len().over(sentence) > 1).mean(),
    ).row(0, named=True)
    return {name: round(float(value), 6) for name, value in numbers.items() if value is not None}


def verdict(name: str, found: Mapping[str, Any], words: str) -> str:
    """Say what became of a prompt beside the champion, of what `compare` found, and by which metric in words."""
    than, whole = found["name"], found["slices"][ALL]
    decided = {place: one["verdict"] for place, one in found["slices"].items() if one["verdict"] in ("better", "worse")}
    overall = decided.pop(ALL, "")
    elsewhere = ", ".join(f"{said} on {place}" for place, said in decided.items()) or "no slice is seen to differ"
    if overall:
        here, low, high = (f"{100 * whole['difference'][end]:+.1f}" for end in ("estimate", "low", "high"))
        points = f"{here} points of {words} (95 % interval {low} to {high})"
        return f"{name} is {overall} than {than} by {points}; {elsewhere}"
    tolerance = f"a difference of {100 * found['tolerance']:g} points"
    more = (whole["rows_needed"] or 0) - whole["rows"]
    need = f"{more:,} more sentences would show {tolerance}" if more > 0 else f"{tolerance} would have been seen"
    return f"{name} beside {than}: cannot tell: {need}; {elsewhere}"


def tell(frame: pl.DataFrame, said: Declarations, prompts: Iterable[str], than: str) -> dict[str, dict[str, Any]]:
    """Compare every prompt but the champion with it.

    Returns:
        By prompt what `compare` finds, `in_words`, and under `better` and `worse` examples that one of them alone gets right.
    """
    judging, parts, told = said.judging, find_slices(frame, said.slices), {}
    for name in (name for name in prompts if name != than):
        found = compare(frame, parts, replace(judging, prediction=name), than)
        right, before = (pl.col(one) == pl.col(judging.answer) for one in (name, than))
        kept = frame.select("text", judging.answer, name, than)
        told[name] = found | {
            "in_words": verdict(name, found, judging.known()[judging.champion].words),
            "better": kept.filter(right & ~before).head(EXAMPLES).to_dicts(),
            "worse": kept.filter(before & ~right).head(EXAMPLES).to_dicts(),
        }
    return told


def measure(frame: pl.DataFrame, answers: pl.DataFrame, judging: Judging, params: EvaluateParams) -> dict[str, Any]:
    """Measure the judged prompt as `model`, the others and the lexicon by their names, and the judged one by source."""
    names = {params.prompt: "model"} | {name: name for name in answers["prompt"] if name != params.prompt}
    dollars, columns = params.dollars_per_million_tokens, names | {LEXICON: LEXICON}
    found = {name: metrics(read_rows(frame, judging, column), judging, 1) for column, name in columns.items()}
    spending = {name: spent(answers.filter(prompt=prompt), dollars) for prompt, name in names.items()}
    return found | {"answers": spending, "by_source": metrics_by(frame, "source", judging, 1)}


def main() -> None:
    """Write the results of the judged prompt, and in `prompts.json` what is said of every prompt, with examples."""
    said, params, prompts = load_declarations(), Params.load().evaluate, read_prompts()
    require(params.prompt in prompts, f"params.yaml: evaluate.prompt can be {', '.join(prompts)}, not {params.prompt}")
    than, contract = champion(prompts), load_contract(Path("contracts/predictions.odcs.yaml"))
    sentences = read_parquet(Path("data/sentences.parquet"), "sentences", major=1)
    answers, judging = pl.read_parquet("data/answers.parquet"), said.judging
    frame = put_together(sentences, answers, judging, params.prompt)
    parts = find_slices(frame, said.slices)
    files = judgement(frame, said, contract, Asked(frame, lambda rows: rows["rating"].to_numpy()), champion=None)
    against = {CHAMPION: than, LEXICON: LEXICON}
    files[COMPARISON] = {name: compare(frame, parts, judging, column) for name, column in against.items()}
    numbers, told = measure(frame, answers, judging, params), tell(frame, said, prompts, than)
    kept = frame.sort("id").select(contract.column_names)
    write_parquet(kept, Path("data/predictions.parquet"), contract)
    write_judgement(files | {"metrics.json": numbers, "prompts.json": {"champion": than, "prompts": told}})
    shown = dict[str, Any](than=than, told=told, numbers=numbers, judged=params.prompt, prompts=prompts)
    shown |= {"heading": "Prompts side by side", "names": [than, *told], "rows": frame.to_dicts()}
    best = max(numbers[name]["accuracy"] for name in numbers["answers"])
    shown |= {"classes": judging.classes, "groups": len(parts), "best": best}
    for file in (Path("summary.md"), Path("data/prompts.html")):
        write_text(file, render_file(Path(__file__).with_name(f"{file.name}.jinja"), **shown))
    Path("plots").mkdir(exist_ok=True)
    for name, drawn in curves(read_rows(kept, judging), 1, parts).items():
        drawn.write_csv(f"plots/{name}.csv")
    print(*(one["in_words"] for one in told.values()), sep="\n")


if __name__ == "__main__":
    run_stage(main)
