"""Prompts are files that anyone edits in a browser: `prompts/<name>.prompt.md`, a short front matter, then the text."""

from __future__ import annotations

import re
from pathlib import Path

from onebutton_contracts.errors import InputError

FOLDER, SUFFIX = Path("prompts"), ".prompt.md"
CHAMPION = Path("champion/champion.txt")  # one line: the prompt that is in use
PLACEHOLDER = re.compile(r"\{[^{}\n]*\}")
TEXT = "{text}"  # where the sentence goes
PARAPHRASED = "-paraphrased"  # ends the `id` of an answer about a sentence in other words
RULE = "---"  # before and behind the front matter


def about(prompt: str, sentence: str) -> str:
    """Put a sentence into the text of a prompt; what stands in it is never read as a placeholder."""
    return prompt.replace(TEXT, sentence)


def read_prompt(file: Path) -> str:
    """Read the text of a prompt.

    Raises:
        InputError: the front matter says something unknown, or a placeholder is unknown or missing; the message names the line.
    """
    lines = file.read_text(encoding="utf-8").split("\n")
    first = 0  # line of the text, without a front matter
    if lines[0] == RULE:
        if RULE not in lines[1:]:
            raise InputError(f"{file}, line 1: the front matter has no second line {RULE}")
        first = lines.index(RULE, 1) + 1
        if any(line and not line.startswith(("why:", " ")) for line in lines[1 : first - 1]):
            raise InputError(f"{file}, line 2: between the lines {RULE} only `why:` may stand")
    found = [
        (number, one) for number, line in enumerate(lines, 1) if number > first for one in PLACEHOLDER.findall(line)
    ]
    for number, one in found:
        if one != TEXT:
            raise InputError(f"{file}, line {number}: {one} stands for nothing; the sentence goes where {TEXT} stands")
    if len(found) != 1:
        raise InputError(f"{file}, line {first + 1}: {TEXT} must stand in it once, where the sentence goes")
    return "\n".join(lines[first:]).strip("\n")


def read_prompts(folder: Path = FOLDER) -> dict[str, str]:
    """Read the text of every prompt, by name.

    Raises:
        InputError: as `read_prompt`; or there is none.
    """
    found = {file.name.removesuffix(SUFFIX): read_prompt(file) for file in sorted(folder.glob(f"*{SUFFIX}"))}
    if not found:
        raise InputError(f"{folder} holds no prompt: write one as {folder}/short{SUFFIX}")
    return found


def champion(prompts: dict[str, str], file: Path = CHAMPION) -> str:
    """Name the prompt in use.

    Raises:
        InputError: the file names none of the prompts.
    """
    name = file.read_text(encoding="utf-8").strip() if file.is_file() else ""
    if name not in prompts:
        raise InputError(f"{file} names the prompt {name!r}, which is not there. It can be: {', '.join(prompts)}")
    return name
