"""Decide which column of a table is what: answer, key, time, group, and what a model may learn from, each with its reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import polars as pl

from onebutton_contracts.errors import InputError, require
from onebutton_contracts.intake.parsing import AS_MEASURED, DATE, INSTANT, KEPT, MISSING, READERS, doubt
from onebutton_contracts.personal import personal_columns

Task = Literal["binary", "multiclass", "regression"]
LEAST = 100  # rows with an answer: half of them judge, and the interval of an error needs 50
CLASSES = 20  # more different texts than this are no classes
CLASS_NUMBERS, CLASS_ROWS = 10, 20  # so many whole numbers at most, each in so many rows at least, are classes
RARE = 10  # rows of a class; with fewer it is neither learnt nor judged
WORDS, ROWS_A_WORD = 20, 10  # a text with more values than this needs so many rows for each
MOST_NAMED = 8  # columns in one sentence
GROUPS = 40  # fewer different values than this do not make groups to draw from
ID = r"(?i:(^|_|-|\s)(id|uuid|guid|key|nr|no|number|code)$)|[a-z](Id|ID)$"
LIKE_ID = r"^[A-Za-z]{0,6}[-_]?\d{2,}$"  # C0042
TAKEN = {"split", "label", "probability", "predicted"}  # what stages and results call columns of their own
RENAME = "a stage calls a column of its own so; rename it"


@dataclass(frozen=True)
class Said:
    """What a person typed of a table; what is left empty is found."""

    answer: str
    kind: str = ""
    key: tuple[str, ...] = ()
    time: str = ""
    group: str = ""


@dataclass(frozen=True)
class Roles:
    """Which column is what."""

    task: Task
    answer: str
    classes: tuple[str, ...]  # names of an answer in words or of several classes, in the order of probabilities
    missing: tuple[str, ...]  # texts of the answer that mean that there is none
    key: tuple[str, ...]  # names a row; a column of it that the table does not have numbers the rows of the file from 1
    time: str  # the split is by it; empty where it is not
    group: str  # the same
    numbers: tuple[str, ...]  # inputs that are numbers or booleans
    words: tuple[str, ...]  # inputs that are texts
    notes: tuple[str, ...]  # what a person should know of each decision, a sentence each


def find_roles(table: pl.DataFrame, said: Said, guesses: Mapping[str, str]) -> Roles:
    """Decide what each column of a table is; `guesses` say by column what was assumed when it was read, or why it stays text.

    Raises:
        InputError: no model can be made of this; the message names the column and the way on.
    """
    answer = said.answer
    require(answer, f"ANSWER= says which column is to be predicted. It can be: {_some(table.columns)}")
    by_lower = {name.lower(): name for name in table.columns}
    for value, names in (("ANSWER", [answer]), ("KEY", said.key), ("TIME", [said.time]), ("GROUP", [said.group])):
        for name in filter(None, names):
            near = "".join(f" Did you mean {by_lower[one]}?" for one in get_close_matches(name.lower(), by_lower, 1))
            there = f"{value}={name} is no column of the table.{near} It can be: {_some(table.columns)}"
            require(name in table.columns, there)
            require(name not in TAKEN, f"{value}={name}: {RENAME} in the file")
    for name in table.columns:
        require(name.isprintable(), f"the column {name!r} has a name that cannot be printed; rename it in the file")
    missing = tuple(word for word in MISSING if table[answer].dtype == pl.String and word in table[answer])
    rows = table.with_columns(pl.col(answer).replace(dict.fromkeys(missing))).drop_nulls(answer)
    few = f"ANSWER={answer}: {rows.height:,} rows have one, and fewer than {LEAST} cannot train and judge a model; add rows"
    require(rows.height >= LEAST, few)
    task, classes, kind = _task(rows[answer], said, table[answer])
    key, why = _key(rows, said)
    time, group, order = _order(rows, said, key)
    able = rows.drop({*key, answer, time, group} & set(rows.columns))
    sorted_out = _sort_out(able, guesses)
    inputs = able.select(sorted_out.pop("", []))
    without = table.height - rows.height
    unanswered = [f"answer: {without:,} rows have no {answer} and are left out"] if without else []
    left_out = [f"left out: {_some(names)} ({why})" for why, names in sorted_out.items()]
    odd = [one.name for one in able if one.dtype == pl.String and KEPT not in guesses.get(one.name, KEPT)]
    turn = "as words they lose their order. `read_rows` in ingest.py is where to make numbers of them"
    left_out += [f"numbers or dates as text: {_some(odd)}; {turn}"] if odd else []
    require(inputs.width, f"no column is left to predict {answer} from. {'; '.join(left_out)}")
    return Roles(
        *(task, answer, classes, missing, key, time, group),
        numbers=tuple(series.name for series in inputs if series.dtype != pl.String),
        words=tuple(series.name for series in inputs if series.dtype == pl.String),
        notes=(*unanswered, f"kind: {task}, as {kind}", f"key: {', '.join(key)}, {why}", *order, *left_out),
    )


def prepare(table: pl.DataFrame, roles: Roles) -> pl.DataFrame:
    """Make the rows that a model is trained and judged on, as the written `ingest.py` does.

    Returns:
        The rows that have an answer, and the columns that have a role; of two numbers or booleans the larger is 1, the other 0.
    """
    for name in set(roles.key) - set(table.columns):
        table = table.with_row_index(name, offset=1).with_columns(pl.col(name).cast(pl.Int64))
    columns = dict.fromkeys([*roles.key, roles.time or roles.group, *roles.numbers, *roles.words, roles.answer])
    answer = pl.col(roles.answer)
    rows = (
        table.with_columns(answer.replace(dict.fromkeys(roles.missing)))
        .drop_nulls(roles.answer)
        .select(*filter(None, columns))
    )
    if roles.task == "regression" or rows[roles.answer].dtype == pl.String:
        return rows
    return rows.with_columns((answer == answer.max() if roles.task == "binary" else answer).cast(pl.Int64))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _task(answers: pl.Series, said: Said, in_file: pl.Series) -> tuple[Task, tuple[str, ...], str]:
    """Say what is predicted, the names of classes, and why; `in_file` has the rows without an answer, too."""
    values, start, text = answers.unique().sort(), f"ANSWER={said.answer}", answers.dtype == pl.String
    rarest, rows = answers.value_counts(sort=True).row(-1)
    few = answers.dtype == pl.Int64 and len(values) <= CLASS_NUMBERS and rows >= CLASS_ROWS
    two = len(values) == 2  # noqa: PLR2004
    fits = {"binary": two, "multiclass": len(values) <= CLASSES, "regression": not text}
    task: Task = said.kind or ("binary" if two else "multiclass" if text or few else "regression")  # type: ignore[assignment]
    require(len(values) > 1, f"{start} is {rarest} in every row, so there is nothing to predict; choose another column")
    require(not answers.dtype.is_temporal(), f"{start} is a time; write the days until it into the file")
    require(task in fits, f"KIND={task}: from a table it can be {', '.join(fits)}")
    guess, example = doubt(in_file) if text else ("", "")
    classes = task != "regression" and fits["multiclass"] and (said.kind or guess == AS_MEASURED)
    nearly = f"{start} is text: {guess.split('; ', 1)[0]}{example}"
    require(not guess or KEPT in guess or classes, f"{nearly}. Write it anew: numbers such as 22000 or 1.5, or nothing")
    other = "it is text; choose another" if text else "choose another, or KIND="
    require(fits[task], f"{start} has {len(values):,} different values, which is no {task}; {other}")
    alike = [repr(one) for one in values if text and one != rarest and one.strip().lower() == rarest.strip().lower()]
    join = f"join it to {', '.join(alike) or 'another class'}, or leave it empty"
    rare = f"{start} is {rarest} in {rows} rows, and a class needs {RARE}; {join}"
    require(task == "regression" or rows >= RARE, rare)
    if task == "regression":
        return task, (), f"{said.answer} is a number with {len(values):,} different values"
    names = tuple(map(str, values))
    what = f"the probability of {names[-1]} is predicted" if two else ", ".join(names)
    other = "" if text or two else ". KIND=regression takes it for a number"
    return task, names if text or task == "multiclass" else (), f"{said.answer} has {len(names)} values: {what}{other}"


def _key(rows: pl.DataFrame, said: Said) -> tuple[tuple[str, ...], str]:
    """Find what names a row: a column that never repeats and looks like a name, else the row's number in the file."""
    if said.key:
        alike, empty = rows.height - rows.n_unique(subset=said.key), sum(rows[name].null_count() for name in said.key)
        words = f"KEY={','.join(said.key)} names no row: {alike:,} rows repeat it, {empty:,} lack it"
        copies = "Are they copies? Leave them out in the file; or name more columns, such as KEY=customer,day"
        require(not alike and not empty and said.answer not in said.key, f"{words}. {copies}")
        return said.key, "as you said"
    for series in rows:
        able = series.dtype in (pl.String, pl.Int64) and series.name not in {said.answer, said.time, said.group, *TAKEN}
        if able and not series.null_count() and series.n_unique() == rows.height and _names(series):
            return (series.name,), "as no two rows are alike in it"
    number = next(name for name in ("row", "row_number", "row_number_in_file") if name not in rows.columns)
    return (number,), "the number of the row in the file, as no column is seen to name it; KEY= says which does"


def _names(series: pl.Series) -> bool:
    """Say whether the values of a column look like names of things, and not like measures."""
    known, name = series.drop_nulls(), pl.Series([series.name])
    counts_up = series.dtype == pl.Int64 and known.n_unique() == len(known) == known.max() - known.min() + 1  # type: ignore[operator]
    alike = series.dtype == pl.String and known.str.contains(LIKE_ID).all()
    return bool(counts_up or alike or name.str.contains(ID).item())


def _order(rows: pl.DataFrame, said: Said, key: tuple[str, ...]) -> tuple[str, str, list[str]]:
    """Find by what the rows are split: a time, a group, or neither; and say why."""
    require(not (said.time and said.group), "TIME= splits by a time, GROUP= by what belongs together: say one of them")
    for value, name in (("TIME", said.time), ("GROUP", said.group)):
        if name:
            empty, different = rows[name].null_count(), rows[name].n_unique()
            words = f"{value}={name} cannot split: {empty:,} rows lack it, and it has {different:,} different values"
            require(not empty and different >= 2 and name != said.answer, words)  # noqa: PLR2004
    if said.time and not rows[said.time].dtype.is_temporal():
        texts = rows[said.time].cast(pl.String)
        unread = min((texts.filter(READERS[one](texts).is_null()) for one in (DATE, INSTANT)), key=len)
        first = f", the first {unread.first()!r}" if len(unread) else ": the file holds them as text, and not as dates"
        some = f"{len(unread):,} of {len(texts):,} cannot be read{first}"
        raise InputError(f"TIME={said.time} holds no times; write them as 2024-05-31 or 2024-05-31T12:00:00Z: {some}")
    whole = [series for series in rows if series.name not in {said.answer, *TAKEN} and not series.null_count()]
    times = [series.name for series in whole if series.dtype.is_temporal() and series.n_unique() >= RARE]
    named = [one for one in whole if one.name not in key and one.dtype in (pl.String, pl.Int64) and _names(one)]
    groups = [series.name for series in named if GROUPS <= series.n_unique() <= series.len() / 2]
    time = said.time or (times[0] if len(times) == 1 and not said.group else "")
    group = said.group or (groups[0] if len(groups) == 1 and not time else "")
    asked = [f"split: {_some(times)} are times: TIME= says by which"] if times and not time else []
    asked += [f"split: {_some(groups)} repeat: GROUP= says which rows belong together"] if groups and not group else []
    by_group = f"by {group}, all rows of one on one side, as they know of each other"
    drawn = by_group if group else "at random, as neither a time nor a group is seen; TIME= or GROUP= names one"
    split = f"by {time}, the last rows judge, as a model is asked about what comes after" if time else drawn
    return time, group, [f"split: {split}", *asked]


def _sort_out(rows: pl.DataFrame, guesses: Mapping[str, str]) -> dict[str, list[str]]:
    """List columns by why a model cannot or should not learn from them; its inputs have an empty reason."""
    personal, found = personal_columns(rows), dict[str, list[str]]()
    for series in rows:
        name, different = series.name, series.drop_nulls().n_unique()
        many = different > WORDS
        text = f"text, {guesses[name]}" if name in guesses else "text of too many different values"
        reasons = {
            f"{RENAME} to use it": name in TAKEN,
            "personal data": name in personal,
            "a server takes no such name; rename it without quotes and backslashes to use it": {'"', "\\"} & set(name),
            "empty": not different,
            "constant": different == 1,
            "a time; what is made of it, such as a weekday, goes into ingest.py": series.dtype.is_temporal(),
            "names things and measures nothing": many and _names(series),
            text: many and series.dtype == pl.String and different * ROWS_A_WORD > rows.height,
        }
        found.setdefault(next((why for why, holds in reasons.items() if holds), ""), []).append(name)
    return found
