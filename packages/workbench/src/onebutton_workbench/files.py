"""Files as the workbench reads and writes them: YAML that keeps its comments, and texts as they stand."""

import io
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

WIDTH = 120  # of a line of YAML that is written
FLOW_LIST = re.compile(r" *[\w-]+: \[")
TOGETHER = ":\0"  # for a colon and its space, so that no line ends between a key and its value


def edit_yaml(text: str, change: Callable[[Any], Any]) -> str:
    """Change a YAML text in place; its comments, quotes and order stay."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1000
    yaml.indent(mapping=2, sequence=4, offset=2)
    content = yaml.load(text)
    change(content)
    stream = io.StringIO()
    yaml.dump(content, stream)
    return "".join(_wrapped(line) for line in stream.getvalue().splitlines(keepends=True))


def _wrapped(line: str) -> str:
    """Write a long list in brackets on several lines: ruamel would break it inside of an entry, and leave spaces at the ends."""
    begins = FLOW_LIST.match(line)
    if not begins or len(line) <= WIDTH or "#" in line:
        return line
    whole = line.rstrip().replace(": ", TOGETHER)
    below = " " * begins.end()
    lines = textwrap.wrap(whole, WIDTH, subsequent_indent=below, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace(TOGETHER, ": ") + "\n"


def read_texts(folder: Path, files: Iterable[str]) -> dict[str, str]:
    """Read those of the files that are text; links, and what is not UTF-8, are left out."""
    texts = {}
    for name in files:
        path = folder / name
        if path.is_file() and not path.is_symlink():
            with suppress(UnicodeDecodeError):
                texts[name] = path.read_bytes().decode("utf-8")  # bytes, so that line ends stay as they are
    return texts


def write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    """Write several files, their line ends as they are."""
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode("utf-8"))
