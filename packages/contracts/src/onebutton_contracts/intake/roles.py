"""Decide which column of a table is what: answer, key, time, group, and what a model may learn from, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from onebutton_contracts.errors import require
from onebutton_contracts.intake.parsing import KEPT, MISSING
from onebutton_contracts.personal import personal_columns

Task = Literal["binary", "multiclass", "regression"]
LEAST = 100  # rows with an answer: half of them judge, and the interval of an error needs 50
CLASSES = 20  # more different texts than this are no classes
CLASS_NUMBERS, CLASS_ROWS = 10, 20  # so many whole numbers at most, each in so many rows at least, are classes
RARE = 10  # rows of a class; with fewer it is neither learnt nor judged
WORDS, ROWS_A_WORD = 20, 10  # a text with more values than this needs so many rows for each
MOST_NAMED = 8  # columns in one sentence
GROUPS = 40  # fewer different values than this do not make groups to draw from
ID = r"(?i)(^|_|-|\s)(id|uuid|guid|key|nr|no|number|code)$|[a-z](Id|ID)$"
LIKE_ID = r"^[A-Za-z]{0,6}[-_]?\d{2,}$"  # C0042
PREDICTED: dict[Task, str] = {"binary": "probability", "multiclass": "probability", "regression": "predicted"}
TAKEN = {"split", "label", *PREDICTED.values()}  # what stages and results call columns of their own
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
    """Which column is what.

    Attributes:
        classes: the names of an answer in words, or of several classes, in the order of a model's probabilities.
        missing: texts of the answer that mean that there is none.
        key: names a row; a column of it that the table does not have numbers the rows of the file from 1.
        time: the split is by it; empty where it is not.
        group: the same.
        numbers: inputs that are numbers or booleans.
        words: inputs that are texts.
        notes: what a person should know of each decision, a sentence each.
    """

    task: Task
    answer: str
    classes: tuple[str, ...]
    missing: tuple[str, ...]
    key: tuple[str, ...]
    time: str
    group: str
    numbers: tuple[str, ...]
    words: tuple[str, ...]
    notes: tuple[str, ...]


def find_roles(table: pl.DataFrame, said: Said, guesses: Mapping[str, str]) -> Roles:
    """Decide what each column of a table is; `guesses` say by column what was assumed when it was read, or why it stays text.

    Raises:
        InputError: no model can be made of this; the message names the column and the way on.
    """
    answer = said.answer
    require(answer, f"ANSWER= says which column is to be predicted. It can be: {_some(table.columns)}")
    for value, names in (("ANSWER", [answer]), ("KEY", said.key), ("TIME", [said.time]), ("GROUP", [said.group])):
        for name in filter(None, names):
            there = f"{value}={name} is no column of the table. It can be: {_some(table.columns)}"
            require(name in table.columns, there)
            require(name not in TAKEN, f"{value}={name}: {RENAME} in the file")
    for name in table.columns:
        require(name.isprintable(), f"the column {name!r} has a name that cannot be printed; rename it in the file")
    missing = tuple(word for word in MISSING if table[answer].dtype == pl.String and word in table[answer])
    rows = table.filter(_answered(answer, missing))
    few = f"ANSWER={answer}: {rows.height:,} rows have one, and fewer than {LEAST} cannot train and judge a model; add rows"
    require(rows.height >= LEAST, few)
    task, classes, kind = _task(rows[answer], said, guesses.get(answer, ""))
    key, why = _key(rows, said)
    time, group, order = _order(rows, said, key)
    able = rows.drop({*key, answer, time, group} & set(rows.columns))
    reasons = _unfit(able, guesses)
    inputs = able.drop(reasons)
    without = table.height - rows.height
    unanswered = [f"answer: {without:,} rows have no {answer} and are left out"] if without else []
    alike = {reason: [name for name in reasons if reasons[name] == reason] for reason in reasons.values()}
    left_out = [f"left out: {_some(names)} ({reason})" for reason, names in alike.items()]
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
    for name in roles.key:
        if name not in table.columns:
            table = table.with_row_index(name, offset=1).with_columns(pl.col(name).cast(pl.Int64))
    split_by = [name for name in (roles.time, roles.group) if name]
    columns = dict.fromkeys([*roles.key, *split_by, *roles.numbers, *roles.words, roles.answer])
    rows = table.filter(_answered(roles.answer, roles.missing)).select(*columns)
    answer = pl.col(roles.answer)
    if roles.task == "regression" or rows[roles.answer].dtype == pl.String:
        return rows
    return rows.with_columns((answer == answer.max() if roles.task == "binary" else answer).cast(pl.Int64))


def _answered(answer: str, missing: Sequence[str]) -> pl.Expr:
    there = pl.col(answer).is_not_null()
    return there & ~pl.col(answer).is_in(missing) if missing else there


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _task(answers: pl.Series, said: Said, guess: str) -> tuple[Task, tuple[str, ...], str]:
    """Say what is predicted, the names of classes, and why."""
    values, start, text = answers.unique().sort(), f"ANSWER={said.answer}", answers.dtype == pl.String
    rarest, rows = answers.value_counts(sort=True).row(-1)
    few = answers.dtype == pl.Int64 and len(values) <= CLASS_NUMBERS and rows >= CLASS_ROWS
    two = len(values) == 2  # noqa: PLR2004
    fits = {"binary": two, "multiclass": len(values) <= CLASSES, "regression": not text}
    task: Task = said.kind or ("binary" if two else "multiclass" if text or few else "regression")  # type: ignore[assignment]
    require(len(values) > 1, f"{start} is {rarest} in every row, so there is nothing to predict; choose another column")
    temporal = f"{start} is a time; write the days until it into the file, and predict these"
    require(not answers.dtype.is_temporal(), temporal)
    require(task in fits, f"KIND={task}: from a table it can be {', '.join(fits)}")
    nearly = text and guess and KEPT not in guess and not (said.kind and fits["multiclass"])
    anew = "Write it anew as numbers, such as 1.5, and leave empty what is missing"
    require(not nearly, f"{start} is text: {guess.split('; ', 1)[0]}. {anew}")
    unlike = f"{start} has {len(values):,} different values, which is no {task}; choose another column or KIND="
    require(fits[task], unlike)
    rare = f"{start} is {rarest} in {rows} rows, and a class needs {RARE}; join it to another class, or leave it empty"
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
        words = f"KEY={','.join(said.key)} names no row: {alike:,} rows repeat it, {empty:,} lack it; leave KEY= out"
        require(not alike and not empty and said.answer not in said.key, words)
        return said.key, "as you said"
    for series in rows:
        able = series.dtype in (pl.String, pl.Int64) and series.name not in {said.answer, said.time, said.group, *TAKEN}
        if able and not series.null_count() and series.n_unique() == rows.height and _names(series):
            return (series.name,), "as no two rows are alike in it"
    number = next(name for name in ("row", "row_number", "row_number_in_file") if name not in rows.columns)
    return (number,), "the number of the row in the file, as no column is seen to name it; KEY= says which does"


def _names(series: pl.Series) -> bool:
    """Say whether the values of a column look like names of things, and not like measures."""
    known = series.drop_nulls()
    if series.dtype == pl.Int64 and known.n_unique() == len(known) == known.max() - known.min() + 1:  # type: ignore[operator]
        return True
    by_name = pl.Series([series.name]).str.contains(ID).item()
    return bool(by_name or (series.dtype == pl.String and known.str.contains(LIKE_ID).all()))


def _order(rows: pl.DataFrame, said: Said, key: tuple[str, ...]) -> tuple[str, str, list[str]]:
    """Find by what the rows are split: a time, a group, or neither; and say why."""
    require(not (said.time and said.group), "TIME= splits by a time, GROUP= by what belongs together: say one of them")
    for value, name in (("TIME", said.time), ("GROUP", said.group)):
        if name:
            empty, different = rows[name].null_count(), rows[name].n_unique()
            words = f"{value}={name} cannot split: {empty:,} rows lack it, and it has {different:,} different values"
            require(not empty and different >= 2 and name != said.answer, words)  # noqa: PLR2004
    dates = f"TIME={said.time} holds no times; write them as 2024-05-31 or 2024-05-31T12:00:00Z"
    require(not said.time or rows[said.time].dtype.is_temporal(), dates)
    whole = [series for series in rows if series.name not in {said.answer, *TAKEN} and not series.null_count()]
    times = [series.name for series in whole if series.dtype.is_temporal() and series.n_unique() >= RARE]
    named = [one for one in whole if one.name not in key and one.dtype in (pl.String, pl.Int64) and _names(one)]
    groups = [series.name for series in named if GROUPS <= series.n_unique() <= series.len() / 2]
    time = said.time or (times[0] if len(times) == 1 and not said.group else "")
    group = said.group or (groups[0] if len(groups) == 1 and not time else "")
    asked = [f"split: {_some(times)} are times: TIME= says by which"] if times and not time else []
    asked += [f"split: {_some(groups)} repeat: GROUP= says which rows belong together"] if groups and not group else []
    if time:
        return time, "", [f"split: by {time}, the last rows judge, as a model is asked about what comes after", *asked]
    if group:
        return "", group, [f"split: by {group}, all rows of one on one side, as they know of each other", *asked]
    return "", "", ["split: at random, as neither a time nor a group is seen; TIME= or GROUP= names one", *asked]


def _unfit(rows: pl.DataFrame, guesses: Mapping[str, str]) -> dict[str, str]:
    """Say of each column that a model cannot or should not learn from why."""
    personal, found = personal_columns(rows), {}
    for series in rows:
        name, different = series.name, series.drop_nulls().n_unique()
        if name in TAKEN:
            found[name] = f"{RENAME} to use it"
        elif name in personal:
            found[name] = "personal data"
        elif {'"', "\\"} & set(name):
            found[name] = "a server takes no such name; rename it without quotes and backslashes to use it"
        elif different < 2:  # noqa: PLR2004
            found[name] = "constant" if different else "empty"
        elif series.dtype.is_temporal():
            found[name] = "a time; what is made of it, such as a weekday, goes into ingest.py"
        elif different > WORDS and _names(series):
            found[name] = "names things and measures nothing"
        elif series.dtype == pl.String and different > WORDS and different * ROWS_A_WORD > rows.height:
            found[name] = f"text, {guesses[name]}" if name in guesses else "text of too many different values"
    return found
