"""Refuse what contracts, cards, pages and code say that misleads a reader, breaks with a removal, or opens a pickle.

OB107, OB301, OB303, OB305 and OB422: `docs/checks/` has a page for each.
"""

import fnmatch
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from posixpath import dirname, join, normpath

from onebutton_contracts.compatibility import needs_major
from onebutton_contracts.contract import contract_of
from onebutton_contracts.errors import InputError
from onebutton_evaluation.card_text import QUESTIONS, CardText
from onebutton_workbench.findings import Finding
from onebutton_workbench.lineage.changes import Changes
from onebutton_workbench.workspace import members, read_toml

CONTRACTS = "*.odcs.yaml"
TEMPLATES, CARD = Path("templates/pipeline"), "card.toml"
OWN = "table"  # the template that speaks of a person's own table, and of no example
ASKED = ("title", *(name for name in QUESTIONS if name != "owner"))  # CODEOWNERS names the owner of any pipeline
LINK = re.compile(r"\]\(<?([^)#\s>]+)|^ *\[[^\]]+\]:\s+<?([^#\s>]+)")
INTO_PIPELINE = re.compile(r"(pipelines/[^/]+)(/|$)")
# A switch of numpy, methods of pandas whatever the frame is called, and modules imported by a name in a text.
PICKLE = re.compile(
    r"allow_pickle(?= *=(?! *False))|(?<=\.)(read|to)_pickle\b"
    r"|(__import__|import_module)\(.{1,2}(_?pickle|joblib|dill|cloudpickle|shelve|jsonpickle)\b"
)


def check_standard(path: str, text: str) -> Iterator[Finding]:
    """Hold a contract to the standard."""
    try:
        contract_of(text, Path(path))
    except InputError as error:
        words = f"{str(error).removeprefix(f'{path}: ')}, so no stage can be held to it"
        yield Finding("OB303", path, words, "the line that it names")


def check_readers(changes: Changes) -> Iterator[Finding]:
    """Compare every contract that changed with what readers rely on. One that cannot be read promises nothing."""
    for name in fnmatch.filter(changes.files, CONTRACTS):
        with suppress(InputError):
            old, new = (contract_of(text, Path(name)) for text in changes.texts(name))
            for broken in needs_major(old, new):
                cost = f"and the version is still {new.version}: a reader would not notice"
                mend = f"version: {new.major + 1}.0.0, and look at every reader"
                yield Finding("OB301", name, f"{broken} since {changes.commit[:8]}, {cost}", mend)


def check_cards(root: Path) -> Iterator[Finding]:
    """Look at the card of every pipeline that is no draft."""
    templates = [file for file in (root / TEMPLATES).glob("*/card.toml.jinja") if file.parent.name != OWN]
    examples = {card[name].strip() for card in map(read_toml, templates) for name in ASKED}
    for member in members(root):
        place = member.path / CARD
        if not member.is_pipeline or member.draft or not (root / place).is_file():
            continue
        card = CardText.load(root / place)
        if empty := [name for name in ("title", *QUESTIONS) if not card.written(name)]:
            words = f"nobody has written {', '.join(empty)}, and the next person can only guess"
            yield Finding("OB107", place.as_posix(), words, "write a sentence on each, then `make run`")
        left = [name for name in ASKED if card.written(name) and getattr(card, name).strip() in examples]
        if left:
            words = f"{', '.join(left)}: as the template wrote it for its example, so readers are told of another model"
            yield Finding("OB107", place.as_posix(), words, "write what is true of your model, then `make run`")


def check_links(path: str, text: str) -> Iterator[Finding]:
    """Find every link of a page that leads into a pipeline that the page is not part of."""
    for number, line in enumerate(text.splitlines(), 1):
        for link in LINK.finditer(line):
            target = normpath(join(dirname(path), link[1] or link[2]))
            into = INTO_PIPELINE.match(target)
            if into and not path.startswith(f"{into[1]}/"):
                words = f"links to {target}, so the link is dead when {into[1]} is removed"
                mend = f"write `{target}` without a link, or link to a page of docs/"
                yield Finding("OB305", f"{path}:{number}", words, mend)


def check_pickles(path: str, text: str) -> Iterator[Finding]:
    """Look at every line of code or of a notebook, which may be of any language, or of a conflict."""
    for number, line in enumerate(text.splitlines(), 1):
        if door := PICKLE.search(line):
            words = f"`{door[0]}` opens a pickle, and reading one runs the code in it"
            mend = "write parquet, or `numpy.save` without objects; a model becomes ONNX"
            yield Finding("OB422", f"{path}:{number}", words, mend)
