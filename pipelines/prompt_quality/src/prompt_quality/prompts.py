"""Prompts are files that anyone edits in a browser: `prompts/<name>.prompt.md`, a short front matter, then the text."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from onebutton_contracts.errors import InputError

FOLDER, SUFFIX = Path("prompts"), ".prompt.md"
CHAMPION = Path("champion/champion.txt")  # one line: the prompt that is in use
PLACEHOLDER = re.compile(r"\{([^{}\n]*)\}")
TEXT = "text"
RULE = "---\n"  # before and behind the front matter
KEYS = {"why"}  # of the front matter


@dataclass(frozen=True)
class Prompt:
    """One prompt.

    Attributes:
        name: of its file.
        text: with `{text}` where the sentence goes.
        why: what is hoped of it.
    """

    name: str
    text: str
    why: str

    @property
    def digest(self) -> str:
        """The first digits of the SHA-256 of its text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    def about(self, sentence: str) -> str:
        """Put a sentence in its place; what stands in it is never read as a placeholder."""
        return self.text.replace(f"{{{TEXT}}}", sentence)


def read_prompt(file: Path) -> Prompt:
    """Read a prompt.

    Raises:
        InputError: the front matter says something unknown, or a placeholder is unknown or missing; the message names the line.
    """
    content = file.read_text(encoding="utf-8")
    front, text = "", content
    if content.startswith(RULE):
        front, ends, text = content.removeprefix(RULE).partition(f"\n{RULE}")
        if not ends:
            message = f"{file}, line 1: the front matter has no second line ---"
            raise InputError(message)
    first = content.count("\n", 0, len(content) - len(text)) + 1
    try:
        said = yaml.safe_load(front) or {}
    except yaml.MarkedYAMLError as error:
        line = 2 + (error.problem_mark.line if error.problem_mark else 0)
        message = (
            f"{file}, line {line}: the front matter cannot be read; put what stands behind `why:` in quotes, "
            "as a colon means something there"
        )
        raise InputError(message) from error
    if not isinstance(said, dict) or set(said) - KEYS:
        message = f"{file}, line 2: between the lines --- only `why:` may stand"
        raise InputError(message)
    for place, words in enumerate(text.splitlines(), first):
        for found in PLACEHOLDER.findall(words):
            if found != TEXT:
                message = (
                    f"{file}, line {place}: {{{found}}} stands for nothing; the sentence goes where {{{TEXT}}} stands"
                )
                raise InputError(message)
    if text.count(f"{{{TEXT}}}") != 1:
        message = f"{file}, line {first}: {{{TEXT}}} must stand in it once, where the sentence goes"
        raise InputError(message)
    return Prompt(file.name.removesuffix(SUFFIX), text.strip("\n"), str(said.get("why", "")))


def read_prompts(folder: Path = FOLDER) -> dict[str, Prompt]:
    """Read every prompt, by name.

    Raises:
        InputError: as `read_prompt`; or there is none.
    """
    found = [read_prompt(file) for file in sorted(folder.glob(f"*{SUFFIX}"))]
    if not found:
        message = f"{folder} holds no prompt: write one as {folder}/short{SUFFIX}"
        raise InputError(message)
    return {prompt.name: prompt for prompt in found}


def champion(prompts: dict[str, Prompt], file: Path = CHAMPION) -> str:
    """Name the prompt in use.

    Raises:
        InputError: the file names none of the prompts.
    """
    name = file.read_text(encoding="utf-8").strip() if file.is_file() else ""
    if name not in prompts:
        message = f"{file} names the prompt {name!r}, which is not there. It can be: {', '.join(prompts)}"
        raise InputError(message)
    return name
