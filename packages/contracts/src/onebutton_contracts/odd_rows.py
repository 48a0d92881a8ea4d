"""Draw rows that a contract lets in and training hardly holds: nulls, unseen words, ends of ranges, values halfway between two.

A model is proven on them before it ships, see `docs/models.md`. Half the rows are rows of training with one odd value, so that
what goes wrong can be laid to one column; the others have several.
"""

import random
from dataclasses import replace
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any

import numpy as np
import polars as pl

from onebutton_contracts.errors import require
from onebutton_contracts.frames import POLARS_TYPES, polars_schema
from onebutton_contracts.terms import Column, Contract
from onebutton_contracts.validation import without_broken

MOST = 200  # odd values of a column
FEWEST_ALONE = 12  # rows in which a column alone is odd
TOGETHER = 0.3  # the chance of each column, where several are odd
FOREIGN = ("", "Ünïcode Straße", "ИВАН 日本", "O'Brien-Smith, 3rd", "UPPER lower", "   ")


def odd_rows(contract: Contract, seen: pl.DataFrame, rows: int = 2000, seed: int = 0) -> pl.DataFrame:
    """Draw rows to prove a model with.

    Args:
        contract: of the table that the model's inputs come from.
        seen: the inputs of the rows of training; every column stands in the contract.
        rows: about how many; fewer are left when rules of the contract forbid some.
        seed: the same seed, the same rows.

    Returns:
        Rows with the columns and types of `seen`, none of which breaks a rule of the contract about rows.

    Raises:
        InputError: the contract says nothing of a column.
    """
    for name in seen.columns:
        words = f"{contract.path}: the model has {name!r}, of which this contract says nothing. Describe it there"
        require(name in contract.column_names, words)
    chance = np.random.Generator(np.random.PCG64(seed))
    columns = [contract.column(name) for name in seen.columns]
    known = seen.cast(polars_schema(columns))  # type: ignore[arg-type]  # a mapping of names to types
    odd = {column.name: _odd(contract, column, known[column.name], chance) for column in columns}
    alone = max(FEWEST_ALONE, rows // (2 * len(columns)))
    parts = [_mixed(known, {name: odd[name]}, alone, 1.0, chance) for name in odd]
    parts.append(_mixed(known, odd, max(rows - alone * len(columns), rows // 4), TOGETHER, chance))
    whole = pl.concat(parts, rechunk=True)  # in many pieces, each of the contract's rules would put it together anew
    return without_broken(whole, contract).cast(dict(seen.schema))  # type: ignore[arg-type]


def _mixed(
    known: pl.DataFrame, odd: dict[str, pl.Series], rows: int, share: float, chance: np.random.Generator
) -> pl.DataFrame:
    """Take rows of training and put odd values into some cells."""
    drawn = known[chance.integers(0, known.height, rows)]
    for name, values in odd.items():
        if len(values):
            picked = values[np.resize(chance.permutation(len(values)), rows)]
            drawn = drawn.with_columns(picked.zip_with(pl.Series(chance.random(rows) < share), drawn[name]))
    return drawn


def _odd(contract: Contract, column: Column, seen: pl.Series, chance: np.random.Generator) -> pl.Series:
    """List the odd values of a column, a fifth of them null where it may be missing; empty when there are none."""
    known, kind = seen.drop_nulls().unique().sort(), column.logical_type
    values: list[Any] = list(column.allowed)
    if not values and kind == "string":
        values = _words(known, chance)
    elif not values and kind in {"integer", "number"}:
        values = [round(value) if kind == "integer" else value for value in _numbers(column, known, chance)]
    elif not values:
        values = [False, True] if kind == "boolean" else known.head(MOST).to_list()
    made = pl.Series(column.name, values, dtype=POLARS_TYPES[kind])
    alone = replace(contract, columns=(column,), primary_key=(), row_rules=())
    made = without_broken(made.to_frame(), alone)[column.name]
    return made if column.required else made.extend(pl.Series([None] * max(1, len(made) // 4), dtype=made.dtype))


def _numbers(column: Column, known: pl.Series, chance: np.random.Generator) -> list[float]:
    """Return ends of the range, values halfway between neighbours, and any between the ends.

    A range without a limit goes as far beyond what was seen as that is wide.
    """
    values = known.to_numpy().astype(float)
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    span = high - low or 1.0
    low = float(column.minimum) if isinstance(column.minimum, int | float) else low - span
    high = float(column.maximum) if isinstance(column.maximum, int | float) else high + span
    halfway = (values[1:] + values[:-1]) / 2
    if len(halfway) > MOST:
        halfway = chance.choice(halfway, MOST, replace=False)
    inside = chance.uniform(low, high, MOST // 4)
    return [low, high, *halfway.tolist(), *inside.tolist()]


def _words(known: pl.Series, chance: np.random.Generator) -> list[str]:
    """Make up texts that look like those seen, letter for letter, beside some that do not."""
    letters = random.Random(int(chance.integers(2**32)))  # noqa: S311  no secret
    words = known.to_list() or ["word"]
    like = ["".join(_another(letter, letters) for letter in letters.choice(words)) for _ in range(MOST // 2)]
    turned = [turn(letters.choice(words)) for turn in (str.upper, str.lower, str.title) for _ in range(5)]
    mixed = [" ".join(letters.choice(words) for _ in range(2)) for _ in range(5)]
    return [*like, *turned, *mixed, *FOREIGN]


def _another(letter: str, letters: random.Random) -> str:
    """Put another letter of the same kind in its place: most patterns then still hold."""
    kind = next((kind for kind in (ascii_uppercase, ascii_lowercase, digits) if letter in kind), letter)
    return letters.choice(kind)
