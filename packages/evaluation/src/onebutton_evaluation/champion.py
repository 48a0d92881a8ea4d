"""Read the champion, the model in service: its name, and its predictions for the rows on which a challenger is judged."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from onebutton_contracts.errors import InputError, require

CHAMPION = "champion"  # what a gate calls it, and its folder
PREDICTIONS = "predictions.parquet"
NAME = "champion.txt"
AFRESH = f"Remove {CHAMPION}/{NAME}, then `make run` makes a first release: docs/evaluation.md#the-champion"


class Champion(NamedTuple):
    """A model in service: the name of its release, and one row per judged row, the key and its prediction."""

    name: str
    predictions: pl.DataFrame


def champion_name(folder: Path) -> str | None:
    """Name the champion of a folder, as git has it even where its predictions are not in this checkout; None without one.

    Raises:
        InputError: the file that names it is empty.
    """
    file = folder / NAME
    name = file.read_text(encoding="utf-8").strip() if file.is_file() else None
    mend = "Write the release into it that `make deploy STATUS=1` says is in service"
    require(name != "", f"{file} is empty, so it names no champion. {mend}")
    return name


def read_champion(folder: Path) -> Champion | None:
    """Read a champion from its folder; None where there is none: then this is the first release.

    Raises:
        InputError: there is a champion, and its predictions cannot be read: that is no first release.
    """
    file, name = folder / PREDICTIONS, champion_name(folder)
    try:
        return None if name is None else Champion(name, pl.read_parquet(file))
    except (OSError, pl.exceptions.PolarsError) as error:
        why = f"the champion's predictions cannot be read: {str(error).splitlines()[0]}"
        raise InputError(f"{file}: {why}. Nothing was compared. `make pull` fetches them") from None


def beside(frame: pl.DataFrame, champion: Champion, key: Sequence[str], predictions: Mapping[str, str]) -> pl.DataFrame:
    """Put the champion's predictions beside the challenger's rows; `predictions` says what each of their columns is called then.

    Raises:
        InputError: the champion lacks a column, or has no prediction for one of the rows: a comparison on the others would leave
            out the very rows that it could not answer.
    """
    try:
        renamed = (pl.col(name).cast(pl.Float64).alias(new) for name, new in predictions.items())
        theirs = champion.predictions.select(*key, *renamed)
    except pl.exceptions.ColumnNotFoundError as error:
        why = str(error).splitlines()[0]
        raise InputError(f"champion {champion.name}: nothing can be compared: {why}") from None
    others = frame.drop(*predictions.values(), strict=False)
    joined = others.join(theirs, on=list(key), how="left", maintain_order="left")
    lacking = joined.filter(pl.any_horizontal(pl.col(*predictions.values()).fill_nan(None).is_null())).height
    why = f"Comparing on the others would leave out what it could not answer. {AFRESH}"
    require(not lacking, f"champion {champion.name}: no prediction for {lacking} of {frame.height} rows. {why}")
    return joined
