"""Find personal data: e-mail addresses, payment cards and IBANs with right check digits, phone numbers, IP addresses.

What is found is a reason to look, what is not found is no promise: names and places have no pattern.
"""

import re
from collections.abc import Callable
from itertools import cycle

import polars as pl

PATTERNS = {
    "e-mail address": r"[A-Za-z0-9._%+-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}",
    "IBAN": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b",
    "payment card": r"\b\d(?:[ -]?\d){12,18}\b",
    "phone number": r"\+[1-9](?:[ ()/-]{0,2}\d){7,14}\b|\+\d{1,3}(?:[ .()-]{1,2}\d{1,4}){2,5}\b"
    r"|\b\d{3}[-.]\d{3}[-.]\d{4}\b|\(\d{3}\) ?\d{3}-\d{4}\b",
    "IP address": r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b",
}
ANY = "|".join(f"(?:{pattern})" for pattern in PATTERNS.values())
CARD_DIGITS = (13, 19)
SAMPLE = 1000  # different values that are looked at to name what a column holds
MOST = 0.5  # of whole numbers one in ten passes for a card's by chance


def kinds(text: str) -> list[str]:
    """Name the kinds of personal data that a text holds."""
    found = ((kind, (match[0] for match in re.finditer(pattern, text, re.ASCII))) for kind, pattern in PATTERNS.items())
    return [kind for kind, matches in found if any(map(CHECKS.get(kind, bool), matches))]


def personal_columns(frame: pl.DataFrame) -> dict[str, str]:
    """Say which kinds of personal data a column holds, and in how many rows, such as `e-mail address (rows: 12)`.

    Texts are searched, and whole numbers as long as a card's.
    """
    found = {}
    for series in frame:
        if series.dtype == pl.String and len(texts := series.filter(marked(series))):
            names = dict.fromkeys(kind for text in texts.unique(maintain_order=True)[:SAMPLE] for kind in kinds(text))
            found[series.name] = f"{' and '.join(names)} (rows: {len(texts):,})"
        elif series.dtype == pl.Int64 and _are_cards(series):
            found[series.name] = f"payment card (rows: {series.len() - series.null_count():,})"
    return found


def marked(texts: pl.Series) -> pl.Series:
    """Mark the texts that hold personal data; null where there is no text."""
    candidates = texts.str.contains(ANY)
    if not candidates.any():
        return candidates
    found = [text for text in texts.filter(candidates).unique() if kinds(text)]
    return candidates & texts.is_in(found)


def _are_cards(series: pl.Series) -> bool:
    digits = series.drop_nulls().cast(pl.String)
    if not len(digits) or not digits.str.len_chars().is_between(*CARD_DIGITS).all():
        return False
    some = digits.unique(maintain_order=True)[:SAMPLE]
    return sum(map(luhn, some)) > MOST * len(some)


def luhn(number: str) -> bool:
    """Check the last digit of a card's number by the algorithm of H. P. Luhn (US patent 2,950,048)."""
    digits = [int(digit) for digit in reversed(re.sub(r"\D", "", number))]
    doubled = (digit * factor for digit, factor in zip(digits, cycle((1, 2)), strict=False))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0 and len(set(digits)) > 1  # noqa: PLR2004


def iban(number: str) -> bool:
    """Check an IBAN as ISO 7064 says: its letters as numbers, the first four last, modulo 97 is 1."""
    text = number.replace(" ", "")
    return int("".join(str(int(character, 36)) for character in text[4:] + text[:4])) % 97 == 1


CHECKS: dict[str, Callable[[str], bool]] = {"payment card": luhn, "IBAN": iban}
