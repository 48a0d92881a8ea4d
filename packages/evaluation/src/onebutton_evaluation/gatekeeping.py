"""Print the verdict of every gate of every pipeline, and refuse where one is not passed. The work of `make gates`."""

import hashlib
import textwrap
import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from onebutton_contracts.dvc_files import FINGERPRINTS, read_stages
from onebutton_contracts.errors import InputError, require
from onebutton_evaluation.checks import Verdict, standing, verdicts
from onebutton_evaluation.declarations import load_declarations
from onebutton_evaluation.judgement import AGAIN
from onebutton_evaluation.recompute import Computed, compute

WIDTH = 118
RESULTS = "results"  # a gate before all others; it is listed where it is not passed
WHY = "A number can be written by hand, and its digest as well; the model alone says what it can do."


def gate_folder(folder: Path, computed: Computed | None = None) -> list[Verdict]:
    """Hold one pipeline to its gates, by what its model says now; None believes the results files, enough for a page.

    Returns:
        A verdict for each gate of its `gates.toml`. Before them stands `results` where a file is not as its stage left it or not
        what comes out, or could not be computed. A pipeline without a readable `gates.toml` has one verdict, failed: nothing
        says what its model must be.
    """
    computed = computed or Computed()
    try:
        said = load_declarations(folder / "gates.toml")
    except InputError as error:
        return [Verdict("gates-toml", "failed", str(error), "Nothing else says what this model must be.", "gates.toml")]
    found = verdicts(folder, said, computed.results)
    wrong, unknown = [*computed.wrong], computed.unknown
    try:
        wrong = changed_files(folder) + wrong
    except InputError as error:
        unknown = str(error)
    if wrong:
        mend = "`make run` writes it again; if dvc.lock was edited as well, remove the file first"
        return [Verdict(RESULTS, "failed", ". ".join([*wrong, mend]), WHY, RESULTS), *found]
    return [Verdict(RESULTS, "NOT RUN", unknown, WHY, RESULTS), *found] if unknown else found


def changed_files(folder: Path) -> list[str]:
    """Name every file that is not as its stage read or wrote it, by its digest in `dvc.lock`.

    Files that are not here, such as data in a fresh clone, are left out, and fingerprints, which `make status` compares.

    Raises:
        InputError: there is no `dvc.lock`, or it is damaged.
    """
    found = {}
    for name, stage in read_stages(folder / "dvc.lock").items():
        for side, verb in (("deps", "read"), ("outs", "wrote")):
            for one in stage.get(side, []):
                file = folder / one["path"]
                if file.is_file() and not one["path"].startswith(FINGERPRINTS):
                    digest = hashlib.md5(file.read_bytes()).hexdigest()  # noqa: S324  DVC's own
                    if digest != one["md5"]:
                        found[one["path"]] = f"{one['path']} is not what the stage {name} {verb}"
    return [found[path] for path in sorted(found)]


def is_draft(folder: Path) -> bool:
    """Say whether a pipeline is still being tried out: `draft = true` under `[tool.onebutton]` in its pyproject.toml."""
    file = folder / "pyproject.toml"
    tool = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}) if file.is_file() else {}
    return tool.get("onebutton", {}).get("draft") is True


def table(found: Sequence[Verdict]) -> list[str]:
    """Lay out verdicts for a terminal; one that failed says why the gate is there."""
    width = max(len(one.id) for one in found)
    lines = []
    for one in found:
        start = f"  {one.result:<8} {one.id:<{width}}  "
        indent = " " * len(start)
        lines += textwrap.wrap(one.words, WIDTH, initial_indent=start, subsequent_indent=indent)
        if one.result == "failed":
            lines += textwrap.wrap(f"Why: {one.why}", WIDTH, initial_indent=indent, subsequent_indent=indent)
    return lines


def gates(
    folders: Sequence[Path], *, strict: bool = False, champion: Callable[[Path], Path | None] = lambda _: None
) -> None:
    """Compute every judged number, and print every verdict; those of a draft, which stays on a laptop, stop nobody.

    Args:
        folders: of the pipelines.
        strict: whether a gate that is NOT RUN is refused, too.
        champion: finds the release of a pipeline's champion, or None.

    Raises:
        InputError: a gate failed, or found no result to read.
    """
    with ThreadPoolExecutor(2) as pool:
        computed = pool.map(lambda folder: compute(folder, champion(folder)), folders)
    judged: list[Verdict] = []
    for folder, numbers in zip(folders, computed, strict=True):
        found, draft = gate_folder(folder, numbers), is_draft(folder)
        print(f"{folder.name}{', a draft' if draft else ''}.{_asked(folder)}", *table(found), "", sep="\n")
        print(*textwrap.wrap(standing(found, draft=draft)[1], WIDTH), "", sep="\n")
        judged += [] if draft else found
    counts = Counter(one.result for one in judged)
    summary = f"{counts['passed']} passed, {counts['failed']} failed, {counts['NOT RUN']} NOT RUN"
    never = "The results are recorded, and can be neither merged nor deployed like this"
    require(not counts["failed"], f"{summary}. {never}")
    unread = sum(one.result == "NOT RUN" and AGAIN in one.words for one in judged)
    stage = "a stage failed, or never ran. Press `make run`: it says which stage failed and why. Then `make gates`"
    require(not unread, f"{summary}, of which {unread} found no result to read: {stage}")
    measure = "With STRICT=1 every gate must have run: `make gates MEASURE=1` measures the server"
    require(not (strict and counts["NOT RUN"]), f"{summary}. {measure}")
    print(f"gates: {summary}. Next: make report")


def _asked(folder: Path) -> str:
    try:
        return f" Ask: {load_declarations(folder / 'gates.toml').judging.owner}"
    except InputError:
        return ""
