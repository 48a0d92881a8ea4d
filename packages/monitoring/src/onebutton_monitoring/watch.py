"""A pipeline that is watched: what it declares, its history scored as if it had been logged, what that leads to expect."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_evaluation.declarations import Judging
from onebutton_evaluation.evaluate import ask
from onebutton_models.scoring import OnnxModel
from onebutton_monitoring.alarms import Usual, usual
from onebutton_monitoring.declaration import Monitor, load_monitor
from onebutton_monitoring.joining import Joined, join
from onebutton_release.declared import Declared, declared


@dataclass(frozen=True)
class Watch:
    """A pipeline, what it declares, and the ONNX file of which something is expected."""

    folder: Path
    said: Monitor
    declared: Declared
    model: OnnxModel

    @property
    def judging(self) -> Judging:
        """How rows are judged."""
        return self.declared.said.judging

    def history(self, table: str, where: str = "TRUE") -> Joined:
        """Score a table of `data/` and join it with its own answers, as if it had been logged.

        Raises:
            InputError: it is not here.
        """
        file = self.folder / "data" / f"{table}.parquet"
        if not file.is_file():
            raise InputError(
                f"{file} is not here, so nobody knows what is usual. `make pull` fetches it, `make run` makes it"
            )
        return self.as_logged(pl.read_parquet(file).filter(pl.sql_expr(where)))

    def as_logged(self, rows: pl.DataFrame, labels: pl.DataFrame | None = None) -> Joined:
        """Score rows and join them with labels by the contract's key; by their own answers where no others are given."""
        answers = ask(self.model, rows, "the model", self.judging.predicted())
        scored = rows.with_columns(
            pl.col(self.said.time).cast(pl.Datetime("us")).alias("time"),
            *(pl.Series(name, values) for name, values in answers.items()),
        )
        key = tuple(self.declared.outputs.primary_key)
        known = scored.select(*key, self.judging.answer) if labels is None else labels
        return join(scored.lazy(), known.lazy(), replace(self.said, key=key, known_at=""), self.judging)

    def inputs(self, logged: pl.DataFrame) -> list[str]:
        """Name the inputs that are logged: personal ones are not."""
        return [name for name in self.model.inputs if name in logged.columns]

    @cached_property
    def training(self) -> Joined:
        """What the model was trained on."""
        return self.history("train")

    @cached_property
    def tuning(self) -> Joined:
        """The rows that say what is usual."""
        return self.history("train", self.said.tuning)

    @cached_property
    def usual(self) -> dict[str, Usual]:
        """What the tuning months lead to expect, by slice."""
        return usual(self.tuning, self.said, self.judging)


def watch(folder: Path, model: Path) -> Watch:
    """Read all that a pipeline declares.

    Raises:
        InputError: something is missing or wrong.
    """
    return Watch(folder, load_monitor(folder), declared(folder), OnnxModel(model))
