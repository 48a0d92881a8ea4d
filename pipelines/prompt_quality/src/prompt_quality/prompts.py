"""Prompts are files that anyone edits in a browser: `prompts/<name>.prompt.md`, a short front matter, then the text."""

import re
from pathlib import Path

from onebutton_contracts.errors import require

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
        require(RULE in lines[1:], f"{file}, line 1: the front matter has no second line {RULE}")
        first = lines.index(RULE, 1) + 1
        known = all(not line or line.startswith(("why:", " ")) for line in lines[1 : first - 1])
        require(known, f"{file}, line 2: between the lines {RULE} only `why:` may stand")
    found = [(number, one) for number, line in enumerate(lines[first:], first + 1) for one in PLACEHOLDER.findall(line)]
    for number, one in found:
        where = f"{file}, line {number}: {one}"
        require(one == TEXT, f"{where} stands for nothing; the sentence goes where {TEXT} stands")
    require(len(found) == 1, f"{file}, line {first + 1}: {TEXT} must stand in it once, where the sentence goes")
    return "\n".join(lines[first:]).strip("\n")


def read_prompts(folder: Path = FOLDER) -> dict[str, str]:
    """Read the text of every prompt, by name.

    Raises:
        InputError: as `read_prompt`; or there is none.
    """
    found = {file.name.removesuffix(SUFFIX): read_prompt(file) for file in sorted(folder.glob(f"*{SUFFIX}"))}
    require(found, f"{folder} holds no prompt: write one as {folder}/short{SUFFIX}")
    return found


def champion(prompts: dict[str, str], file: Path = CHAMPION) -> str:
    """Name the prompt in use; one that is not there is an `InputError`."""
    name = file.read_text(encoding="utf-8").strip() if file.is_file() else ""
    require(name in prompts, f"{file} names the prompt {name!r}, which is not there. It can be: {', '.join(prompts)}")
    return name
