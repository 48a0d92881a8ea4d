"""Find the columns of a table in which personal data stands."""

from __future__ import annotations

import polars as pl

from onebutton_contracts.personal import holds_personal_data, kinds, luhn

CARD_DIGITS = (13, 19)
MOST = 0.5  # of whole numbers one in ten passes for a card's by chance


def personal_columns(frame: pl.DataFrame) -> dict[str, str]:
    """Say which kinds of personal data a column holds, and in how many rows, such as `e-mail address (rows: 12)`.

    Texts are searched, and whole numbers as long as a card's.
    """
    found = {}
    for series in frame:
        if series.dtype == pl.String:
            texts = series.filter(frame.select(holds_personal_data(series.name)).to_series())
            names = dict.fromkeys(kind for text in texts.unique(maintain_order=True)[:1000] for kind in kinds(text))
            if len(texts):
                found[series.name] = f"{' and '.join(names)} (rows: {len(texts):,})"
        elif series.dtype == pl.Int64 and _are_cards(series):
            found[series.name] = f"payment card (rows: {series.len() - series.null_count():,})"
    return found


def _are_cards(series: pl.Series) -> bool:
    digits = series.drop_nulls().cast(pl.String)
    if not len(digits) or not digits.str.len_chars().is_between(*CARD_DIGITS).all():
        return False
    some = digits.unique(maintain_order=True)[:1000]
    return sum(map(luhn, some)) > MOST * len(some)
