"""Measure a pipeline's model in the server and keep the numbers for its gates. The work of `make gates MEASURE=1`."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from onebutton_evaluation.judgement import write_text
from onebutton_evaluation.verdicts import SERVICE
from onebutton_release import candidate
from onebutton_release.measurement import NOISY, measure
from onebutton_serving.sealed import seal


def measured(pipeline: Path, built: Path) -> dict[str, Any]:
    """Return what the server takes with a model, measured unless it was before; written to `service.json`.

    Args:
        pipeline: its folder, where the gates look for the file.
        built: a candidate of it, which is copied: the server checks digests, so the copy is sealed.

    Raises:
        InputError: the server does not start, or fails to answer.
    """
    numbers = candidate.service_numbers(pipeline)
    if numbers is None:
        with tempfile.TemporaryDirectory(prefix="onebutton-sealed-") as scratch:
            copy = Path(scratch) / built.name
            shutil.copytree(built, copy)
            seal(copy)
            numbers = measure(copy)
        write_text(pipeline / SERVICE, json.dumps(numbers, indent=1) + "\n")
    return numbers


def in_words(numbers: dict[str, Any]) -> str:
    """Say the numbers in a line, and whether the machine was too noisy to believe them."""
    words = (
        f"{numbers['requests_per_second']:,.0f} requests/s, p95 {numbers['p95_ms']:.1f} ms, "
        f"ready in {numbers['start_seconds']:.1f} s, {numbers['memory_mb']:.0f} MB of memory, {numbers['size_mb']:.1f} MB on disk"
    )
    if numbers["noise"] > NOISY:
        words += f"; the machine was noisy (its own arithmetic varied by {numbers['noise']:.0%}): on a quiet one they are better"
    return words
