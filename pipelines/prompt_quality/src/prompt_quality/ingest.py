"""Read the sentences that people have rated, and say of each what it is: its answer, and what prompts may find hard."""

from pathlib import Path

import polars as pl

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import require, run_stage
from onebutton_contracts.tables import write_parquet
from prompt_quality.params import Params, SentenceParams

NEGATION = r"(?i)\b(not|no|never|nothing|nobody|without|hardly|\w+n't)\b"
CAPITALS = r"\b[A-Z]{3,}\b|!"


def read_sample(folder: Path = Path("sample")) -> pl.DataFrame:
    """Read the sentences, each with the same in other words where somebody wrote that down.

    Raises:
        InputError: other words for a sentence that is not there.
    """
    sentences = pl.read_csv(folder / "sentences.csv", schema_overrides={"ordered": pl.Boolean})
    other = pl.read_csv(folder / "paraphrases.csv").rename({"text": "paraphrase"})
    lost = other.join(sentences, on="id", how="anti")["id"]
    require(lost.is_empty(), f"{folder}/paraphrases.csv: no sentence is called {', '.join(lost)}")
    return sentences.join(other, on="id", how="left")


def describe(sentences: pl.DataFrame, params: SentenceParams) -> pl.DataFrame:
    """Add the answer and the columns that slices are cut by.

    A `rating` is from -4 to 4, `ordered` says whether the text orders the model to say something, and `paraphrase`, where it is
    not null, says the same in other words.

    Returns:
        The columns of `contracts/sentences.odcs.yaml`.
    """
    rating, text = pl.col("rating"), pl.col("text")
    strong = pl.when(rating.abs() >= params.strong_rating).then(pl.lit("strong"))
    strength = strong.when(rating.abs() >= params.from_rating).then(pl.lit("mild")).otherwise(pl.lit("none"))
    felt = pl.when(rating > 0).then(pl.lit("positive")).otherwise(pl.lit("negative"))
    return sentences.with_columns(
        sentiment=pl.when(rating.abs() < params.from_rating).then(pl.lit("neutral")).otherwise(felt),
        strength=strength,
        negation=text.str.contains(NEGATION),
        capitals=text.str.contains(CAPITALS),
        words=text.str.split(" ").list.len().cast(pl.Int64),
    ).sort("id")


def main() -> None:
    """Write `data/sentences.parquet`, held to its contract."""
    contract = load_contract(Path("contracts/sentences.odcs.yaml"))
    write_parquet(describe(read_sample(), Params.load().sentences), Path("data/sentences.parquet"), contract)


if __name__ == "__main__":
    run_stage(main)
