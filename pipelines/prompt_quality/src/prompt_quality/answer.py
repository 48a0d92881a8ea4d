"""Ask every prompt about every sentence. Answers are a data set: one row each, and nothing is asked twice on one machine.

What was answered before is kept: in `recorded/answers.csv`, which is committed, in the last `data/answers.parquet`, which DVC
shares, and in `data/answers.jsonl`, which this machine keeps. An answer belongs to the text of its prompt, its sentence, the model
and how it was asked; when one of these is another, it is asked again. What comes is written down at once, so a run that was cut off
goes on where it was.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl

from onebutton_contracts.errors import require, run_stage
from onebutton_contracts.tables import read_parquet
from prompt_quality.model import ADD_IT, EMBEDDED, INSTALLED, Ask, opened
from prompt_quality.params import AnswerParams, Params
from prompt_quality.prompts import PARAPHRASED, about, read_prompts

RECORDED, ANSWERS, JOURNAL = Path("recorded/answers.csv"), Path("data/answers.parquet"), Path("data/answers.jsonl")
QUESTION = {"key": pl.String, "prompt": pl.String, "id": pl.String, "repetition": pl.Int64}
SCHEMA = QUESTION | {  # `tokens` of question and answer; `error` is which kind, and empty when there is an answer
    "model": pl.String, "answer": pl.String, "label": pl.String, "tokens": pl.Int64, "seconds": pl.Float64, "error": pl.String,
}  # fmt: skip


def questions(prompts: Mapping[str, str], sentences: pl.DataFrame, params: AnswerParams) -> pl.DataFrame:
    """List every question, prompt by prompt: about each sentence, then about the same in other words.

    Returns:
        The columns of `QUESTION` and the `text`; a `key` is of all that its answer depends on.
    """
    other = sentences.drop_nulls("paraphrase").select(pl.col("id") + PARAPHRASED, text="paraphrase")
    both = pl.concat([sentences.select("id", "text"), other])
    rows = []
    for prompt, (name, sentence), repetition in product(prompts, both.iter_rows(), range(params.repetitions)):
        text = about(prompts[prompt], sentence)
        parts = [text, params.model, params.temperature, params.max_tokens, repetition]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]
        rows.append((key, prompt, name, repetition, text))
    return pl.DataFrame(rows, QUESTION | {"text": pl.String}, orient="row")


def known_answers() -> pl.DataFrame:
    """Collect what was answered before, each once; errors are asked again."""
    frames = [pl.DataFrame(schema=SCHEMA)]
    frames += [pl.read_csv(RECORDED, schema=SCHEMA)] if RECORDED.is_file() else []
    frames += [pl.read_parquet(ANSWERS)] if ANSWERS.is_file() else []
    if JOURNAL.is_file():
        whole = JOURNAL.read_bytes().rpartition(b"\n")[0]  # the last line may have been cut off
        frames.append(pl.DataFrame([*map(json.loads, whole.splitlines())], SCHEMA, orient="row"))
    return pl.concat(frames).filter(error="").unique("key", keep="last")


def ask_all(ask: Ask, missing: pl.DataFrame, params: AnswerParams) -> Iterator[list[Any]]:
    """Ask one and then the others, several at a time, and write each answer down before the next is waited for.

    Raises:
        InputError: the first one came back as an error: so would the others, after many attempts each.
    """
    rows = missing.rows(named=True)
    with ThreadPoolExecutor(params.connections) as pool, JOURNAL.open("a", 1, "utf-8") as stream:
        stream.truncate(JOURNAL.read_bytes().rfind(b"\n") + 1)  # a line that was cut off would spoil the next reading
        try:
            for some in (rows[:1], rows[1:]):
                asked = {pool.submit(ask, one["text"]): one for one in some}
                for done in as_completed(asked):
                    row = asked[done] | done.result()
                    said = f"{params.model} gave no answer to the first question ({row['error']}); no other was asked"
                    require(asked[done] is not rows[0] or not row["error"], said)
                    # values alone: a scanner for secrets takes digits behind the word "key" for one
                    values = [row[name] for name in SCHEMA]
                    stream.write(json.dumps(values) + "\n")
                    yield values
        finally:
            pool.shutdown(cancel_futures=True)


def main() -> None:
    """Write `data/answers.parquet`; without the model, of answers that are there already."""
    params = Params.load().answer
    wanted = questions(read_prompts(), read_parquet(Path("data/sentences.parquet"), "sentences", major=1), params)
    known = known_answers()
    missing = wanted.unique("key", maintain_order=True).filter(~pl.col("key").is_in(known["key"].to_list()))
    if missing.height:
        names, there = ", ".join(missing["prompt"].unique(maintain_order=True)), wanted.height - missing.height
        print(f"asking {params.model} {missing.height} questions ({names}); {there} are answered already", flush=True)
        with opened(params) as ask:
            known.extend(pl.DataFrame([*ask_all(ask, missing, params)], SCHEMA, orient="row"))
    elif params.model == EMBEDDED and not INSTALLED:
        print(f"all {wanted.height} answers are recorded ones; to ask about another prompt, {ADD_IT}")
    frame = wanted.join(known.drop("prompt", "id", "repetition"), on="key", maintain_order="left").select(*SCHEMA)
    draft = ANSWERS.with_suffix(".draft")
    frame.write_parquet(draft)
    draft.replace(ANSWERS)
    if failed := frame.filter(pl.col("error") != "").height:
        print(f"{failed} questions came back as errors, each {params.retries + 1} times: they count as wrong answers")


if __name__ == "__main__":
    run_stage(main)
