"""Read the champion, the model in service: its name, and its predictions for the rows on which a challenger is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from onebutton_contracts.errors import InputError, require

CHAMPION = "champion"  # what a gate calls it, and its folder
PREDICTIONS = "predictions.parquet"
NAME = "champion.txt"


class Champion(NamedTuple):
    """A model in service: the name of its release, and one row per judged row, the key and its prediction."""

    name: str
    predictions: pl.DataFrame


def champion_name(folder: Path) -> str | None:
    """Name the champion of a folder: what `champion.txt` says; where it is lacking, as the folder is called.

    Returns:
        None where there is no champion. There is one when git has a name or DVC's file of its predictions, even if these are not
        in this checkout; predictions that neither names were left behind by a branch that has a champion.
    """
    name = folder / NAME
    if name.is_file():
        return name.read_text(encoding="utf-8").strip()
    return folder.name if (folder / f"{PREDICTIONS}.dvc").is_file() else None


def read_champion(folder: Path) -> Champion | None:
    """Read a champion from its folder; None where there is none: then this is the first release.

    Raises:
        InputError: the predictions cannot be read, or there is a champion and they are not here: that is no first release.
    """
    file, name = folder / PREDICTIONS, champion_name(folder)
    if name is None:
        return None
    why = "the champion's predictions are not here, so nothing was compared. `make pull` fetches them"
    require(file.is_file(), f"{file}: {why}")
    try:
        return Champion(name, pl.read_parquet(file))
    except (OSError, pl.exceptions.PolarsError) as error:
        why = str(error).splitlines()[0]
        raise InputError(f"{file}: the champion's predictions cannot be read: {why}. Nothing was compared") from None


def beside(frame: pl.DataFrame, champion: Champion, key: Sequence[str], predictions: Mapping[str, str]) -> pl.DataFrame:
    """Put the champion's predictions beside the challenger's rows.

    Args:
        frame: the challenger's rows.
        champion: whose predictions to take.
        key: the columns that together name a row.
        predictions: the champion's columns of predictions, and what each is called then.

    Raises:
        InputError: the champion lacks a column, names a row twice, or has no prediction for one of the rows: a comparison on the
            others would leave out the very rows that it could not answer.
    """
    refused = f"champion {champion.name}: "
    if missing := [name for name in (*key, *predictions) if name not in champion.predictions.columns]:
        raise InputError(refused + f"its predictions have no column {missing[0]!r}, so nothing can be compared")
    renamed = (pl.col(name).cast(pl.Float64).alias(new) for name, new in predictions.items())
    theirs = champion.predictions.select(*key, *renamed)
    others = frame.drop(*predictions.values(), strict=False)
    joined = others.join(theirs, on=list(key), how="left", maintain_order="left")
    unknown = pl.any_horizontal(*(pl.col(name).is_null() | pl.col(name).is_nan() for name in predictions.values()))
    if lacking := joined.select(unknown.sum()).item():
        why = "Comparing on the others would leave out what it could not answer: score it on the same test period"
        raise InputError(refused + f"no prediction for {lacking} of {frame.height} rows. {why}")
    return joined
