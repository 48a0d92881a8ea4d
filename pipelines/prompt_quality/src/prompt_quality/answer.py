"""Ask every prompt about every sentence. Answers are a data set: one row each, and nothing is asked twice on one machine.

What was answered before is kept: in `recorded/answers.csv`, which is committed, in the last `data/answers.parquet`, which DVC
shares, and in `data/answers.jsonl`, which this machine keeps. An answer belongs to the text of its prompt, its sentence, the model
and how it was asked; when one of these is another, it is asked again. What comes is written down at once, so a run that was cut off
goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from onebutton_contracts.errors import InputError, run_stage
from onebutton_contracts.tables import read_parquet
from prompt_quality.model import ADD_IT, EMBEDDED, Endpoint, is_there, label_of, opened
from prompt_quality.params import AnswerParams, Params
from prompt_quality.prompts import PARAPHRASED, about, read_prompts

RECORDED, ANSWERS, JOURNAL = Path("recorded/answers.csv"), Path("data/answers.parquet"), Path("data/answers.jsonl")
SCHEMA = {
    "key": pl.String, "prompt": pl.String, "id": pl.String, "repetition": pl.Int64, "model": pl.String, "answer": pl.String,
    "label": pl.String, "tokens": pl.Int64, "seconds": pl.Float64, "error": pl.String,
}  # fmt: skip


class Question(NamedTuple):
    """One question."""

    key: str  # of all that its answer depends on
    prompt: str
    id: str
    repetition: int
    text: str


def questions(prompts: Mapping[str, str], sentences: pl.DataFrame, params: AnswerParams) -> list[Question]:
    """List every question, prompt by prompt: about each sentence, then about the same in other words."""
    other = sentences.drop_nulls("paraphrase").select(pl.col("id") + PARAPHRASED, text="paraphrase")
    both = pl.concat([sentences.select("id", "text"), other])
    found = []
    for prompt, words in prompts.items():
        for name, sentence in both.iter_rows():
            text = about(words, sentence)
            for repetition in range(params.repetitions):
                parts = [text, params.model, params.temperature, params.max_tokens, repetition]
                key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]
                found.append(Question(key, prompt, name, repetition, text))
    return found


def known_answers() -> dict[str, dict[str, Any]]:
    """Collect what was answered before, by key; errors are asked again."""
    frames = [pl.read_csv(RECORDED, schema=SCHEMA)] if RECORDED.is_file() else []
    frames += [pl.read_parquet(ANSWERS)] if ANSWERS.is_file() else []
    rows = [row for frame in frames for row in frame.iter_rows(named=True)]
    if JOURNAL.is_file():
        whole = JOURNAL.read_bytes().rpartition(b"\n")[0]  # the last line may have been cut off
        rows += [dict(zip(SCHEMA, json.loads(line), strict=True)) for line in whole.splitlines()]
    return {row["key"]: row for row in rows if not row["error"]}


def ask_all(model: Endpoint, missing: list[Question], params: AnswerParams) -> Iterator[dict[str, Any]]:
    """Ask one and then the others, several at a time, and write each answer down before the next is waited for.

    Raises:
        InputError: the first one came back as an error: so would the others, after many attempts each.
    """
    JOURNAL.parent.mkdir(exist_ok=True)
    with ThreadPoolExecutor(params.connections) as pool, JOURNAL.open("a", encoding="utf-8") as stream:
        stream.truncate(JOURNAL.read_bytes().rfind(b"\n") + 1)  # a line that was cut off would spoil the next reading
        first = model.ask(missing[0].text)
        if first.error:
            raise InputError(
                f"{params.model} gave no answer to the first question ({first.error}), so no other was asked"
            )
        asked = {pool.submit(model.ask, one.text): one for one in missing[1:]}
        try:
            answered = ((asked[done], done.result()) for done in as_completed(asked))
            for one, reply in chain([(missing[0], first)], answered):
                row = one._asdict() | reply._asdict() | {"model": params.model, "label": label_of(reply.answer)}
                # values alone: a scanner for secrets takes digits behind the word "key" for one
                stream.write(json.dumps([row[name] for name in SCHEMA]) + "\n")
                stream.flush()
                yield {name: row[name] for name in SCHEMA}
        finally:
            pool.shutdown(cancel_futures=True)


def main() -> None:
    """Write `data/answers.parquet`; without the model, of answers that are there already."""
    params = Params.load().answer
    wanted = questions(read_prompts(), read_parquet(Path("data/sentences.parquet"), "sentences", major=1), params)
    known = known_answers()
    missing = [one for one in wanted if one.key not in known]
    if missing:
        names = ", ".join(dict.fromkeys(one.prompt for one in missing))
        there = len(wanted) - len(missing)
        print(f"asking {params.model} {len(missing)} questions ({names}); {there} are answered already", flush=True)
        with opened(params.model, params) as model:
            known |= {row["key"]: row for row in ask_all(model, missing, params)}
    elif params.model == EMBEDDED and not is_there(EMBEDDED):
        print(f"all {len(wanted)} answers are recorded ones; to ask about another prompt, {ADD_IT}")
    rows = [known[one.key] | {"prompt": one.prompt, "id": one.id, "repetition": one.repetition} for one in wanted]
    draft = ANSWERS.with_suffix(".draft")
    pl.DataFrame(rows, schema=SCHEMA).write_parquet(draft)
    draft.replace(ANSWERS)
    if failed := sum(bool(row["error"]) for row in rows):
        print(f"{failed} questions came back as errors, each {params.retries + 1} times: they count as wrong answers")


if __name__ == "__main__":
    run_stage(main)
