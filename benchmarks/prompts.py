"""Measure how often a prompt is called better or worse: `python benchmarks/prompts.py`.

Pairs of prompts are drawn again and again. Where neither is better, any verdict on any of 14 slices is a false alarm; where one
is, how often that is seen on all sentences stands beside an exact paired test (McNemar's, two-sided). With the archive of
vaderSentiment as an argument, two rules answer all of its sentences, and the seconds of the whole comparison are told.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binomtest

from onebutton_evaluation.catalogue import known_metrics
from onebutton_evaluation.comparison import difference, holm
from onebutton_evaluation.influence import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES = ("negative", "neutral", "positive")
DRAWS, SIZES, SHIFT = 2000, (100, 400, 1500), 0.45  # log odds between two prompts, some ten points of accuracy
SHARES = (1.0, 0.25, 0.25, 0.25, 0.25, 0.3, 0.5, 0.2, 0.33, 0.33, 0.34, 0.22, 0.12, 0.08)  # of the sentences, by slice
FEWEST, LEVEL = 40, 0.05
FELT = 0.5  # a mean rating from which a sentence is positive, or negative
ACCURACY = known_metrics("multiclass", CLASSES)["accuracy"]


def rows(truth: NDArray[np.int64], right: NDArray[np.bool_]) -> Rows:
    """Make answers that are right where it is said, and of another class elsewhere."""
    called = np.where(right, truth, (truth + 1) % len(CLASSES))
    return Rows(truth.astype(np.float64), np.eye(len(CLASSES))[called], None, CLASSES)


def verdicts(random: np.random.Generator, size: int, shift: float) -> tuple[list[float], float]:
    """Draw two prompts; return the p-value of each slice that has enough, and that of the exact test on all sentences."""
    truth, easy = random.integers(0, 3, size), random.normal(0.2, 1.2, size)
    theirs, ours = (random.random(size) < 1 / (1 + np.exp(-easy - more)) for more in (0.0, shift))
    found = []
    for share in SHARES:
        mask = random.random(size) < share
        enough = mask.sum() >= FEWEST
        one = difference(rows(truth[mask], ours[mask]), rows(truth[mask], theirs[mask]), ACCURACY) if enough else None
        found.append(np.nan if one is None else one.p)
    won, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    return [p for p in found if not np.isnan(p)], float(binomtest(won, max(won + lost, 1)).pvalue)


def simulate() -> None:
    """Print the table of docs/benchmarks.md."""
    random = np.random.default_rng(2014)
    print(
        "| sentences | false verdict on any slice | seen where it is, after Holm | alone, before Holm | exact paired test |"
    )
    print("|--:|--:|--:|--:|--:|")
    for size in SIZES:
        null = np.mean([min(holm(verdicts(random, size, 0.0)[0])) < LEVEL for _ in range(DRAWS)])
        drawn = [verdicts(random, size, SHIFT) for _ in range(DRAWS)]
        seen = [(holm(found)[0], found[0], exact) for found, exact in drawn]
        shares = " | ".join(f"{share:.1%}" for share in (np.array(seen) < LEVEL).mean(axis=0))
        print(f"| {size:,} | {null:.1%} | {shares} |", flush=True)


def answer_all(archive: Path) -> None:
    """Compare the lexicon with a second rule on every sentence of the archive."""
    sys.path.insert(0, "pipelines/prompt_quality/src")
    lexicon_labels = import_module("prompt_quality.evaluate").lexicon_labels  # a fork may have taken the sample out
    every = import_module("sentences").read_all(archive)  # the file beside this one
    answers = [lexicon_labels(every["text"]), lexicon_labels(every["text"].str.to_lowercase())]
    begun = time.perf_counter()
    rating = every["rating"].to_numpy()
    truth = np.where(rating >= FELT, 2, np.where(rating <= -FELT, 0, 1))
    right = [np.array([CLASSES.index(label) for label in labels]) == truth for labels in answers]
    for source in ("", *every["source"].unique().sort()):
        mask = (every["source"] == source).to_numpy() if source else np.ones(every.height, dtype=bool)
        found = difference(rows(truth[mask], right[1][mask]), rows(truth[mask], right[0][mask]), ACCURACY)
        if found:
            print(
                f"{source or 'all'}: {found.estimate:+.4f} ({found.low:+.4f} to {found.high:+.4f}), {mask.sum():,} sentences"
            )
    print(f"compared in {time.perf_counter() - begun:.2f} s")


if __name__ == "__main__":
    simulate() if len(sys.argv) == 1 else answer_all(Path(sys.argv[1]))
