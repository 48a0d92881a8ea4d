"""A notebook becomes a pipeline that reaches its number, or is refused with the cell and what mends it."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from onebutton_contracts.errors import InputError
from onebutton_contracts.frames import changed_types, from_pandas, to_pandas
from onebutton_evaluation.splits import as_split
from onebutton_workbench.promote import leaks, plan
from onebutton_workbench.promote.kernel import Seen, run
from onebutton_workbench.promote.notebook import Cell, Statement, follow, hold_page, walk_back
from onebutton_workbench.promote.promote import see_tables, understand
from onebutton_workbench.workspace import ROOT

Shell = Callable[..., str]  # of conftest.py


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The thirteen notebooks, each in a folder with its table."""
    folder = tmp_path_factory.mktemp("pages")
    subprocess.run([sys.executable, str(Path(__file__).with_name("write_notebooks.py")), str(folder)], check=True)
    return folder


def page(name: str, pages: Path) -> Path:
    return pages / name / f"{name}.ipynb"


def statements(*sources: str, folder: Path = ROOT) -> list[Statement]:
    return follow([Cell(number, source) for number, source in enumerate(sources, 1)], folder)


def stands_on(name: str, *sources: str) -> str:
    """The statements that a name depends on, by their letters of the alphabet."""
    found = statements(*sources)
    return "".join("abcdefgh"[one.index] for one in walk_back(found, {name})[0])


def test_an_assignment_to_a_column_is_a_new_definition_of_the_table() -> None:
    assert stands_on("df", "df = read()", "other = 1", 'df["a"] = df["b"] * 2', 'df.loc[0, "a"] = 3') == "acd"


def test_a_method_that_changes_in_place_is_a_new_definition() -> None:
    assert stands_on("df", "df = read()", "df.drop(columns='a', inplace=True)", "df.head()") == "ab"
    assert stands_on("names", "names = []", "names.append('a')", "model.fit(X, y)") == "ab"


def test_a_function_that_changes_its_argument_changes_what_it_is_given() -> None:
    source = "def add(t, by):\n    t['a'] = by"
    assert stands_on("df", source, "df = read()", "k = 1", "add(df, k)", "print(df)") == "abcd"


def test_a_name_that_is_bound_anew_needs_nothing_of_before() -> None:
    assert stands_on("x", "x = 1", "x = 2", "y = x") == "b"
    assert stands_on("x", "x = 1", "if y:\n    x = 2") == "ab"


def test_what_a_comprehension_counts_with_is_its_own() -> None:
    assert stands_on("names", "name = 1", "names = [name for name in columns]") == "b"


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (["import pickle"], "cell 1 (`import pickle`): it reads or writes a pickle"),
        (["import pandas", 'df.<cut>to_pickle("a.pkl")'.replace("<cut>", "")], "cell 2 (`df.to_"),
        (['df = read_csv("/mnt/share/a.csv")'], "is a path of one machine. Put the file beside the notebook"),
        (['df = read_csv("https://x.org/a.csv")'], "comes from the network"),
        (["df = fetch_openml('adult')"], "`fetch_openml` comes from the network"),
        (["import torch"], "a model of torch cannot become ONNX"),
    ],
)
def test_what_the_source_shows_is_refused_by_the_cell(sources: list[str], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        statements(*sources)


def test_a_download_that_is_held_to_its_hash_is_not_refused() -> None:
    download = 'file = retrieve("https://x.org/a.csv", known_hash={})'
    assert statements(download.format('"ab12"'))
    with pytest.raises(InputError, match="comes from the network"):
        statements(download.format("None"))


@pytest.mark.parametrize("line", ["!pip install x", "%cd ..", "files = !ls", "%%bash", "%env A=1"])
def test_a_magic_that_changes_the_machine_is_refused(line: str) -> None:
    with pytest.raises(InputError, match=r"cell 1 .*changes the machine"):
        hold_page([Cell(1, line)], ROOT)


def test_a_magic_that_changes_nothing_is_passed_over() -> None:
    hold_page([Cell(1, "%matplotlib inline\n!ls\nx = 1")], ROOT)
    assert [one.defines for one in statements("%matplotlib inline\nx = 1")] == [{"x"}]


def test_what_could_not_ship_is_refused_with_the_nearest_that_could() -> None:
    fitted = "model = HistGradientBoostingClassifier()\nmodel.fit(X, y)\nmodel.score(X, y)"
    seen = Seen(numbers={(2, "model.score(X, y)"): 0.5})
    with pytest.raises(InputError, match=re.escape("Take lightgbm.LGBMClassifier")):
        plan.plan(Path("page.ipynb"), statements(fitted), seen)


def planned(folder: Path, *sources: str) -> plan.Plan:
    """Plan a notebook that reads `rows.csv` and ends with a score."""
    (folder / "rows.csv").write_text("a,b", encoding="utf-8")
    ends = "model.fit(X_train, y_train)\nmodel.score(X_test, y_test)"
    found = statements(*sources, ends, folder=folder)
    kinds = {"df": "table", "X_train": "table", "X_test": "table", "y_train": "column", "y_test": "column"}
    seen = Seen(numbers={(len(found) - 1, "model.score(X_test, y_test)"): 0.5})
    seen.held = {one.index: kinds for one in found}
    return plan.plan(folder / "page.ipynb", found, seen)


READ = 'df = read_csv("rows.csv")'
SPLIT = "X_train, X_test, y_train, y_test = train_test_split(df, df.b, random_state=1)"


def test_each_statement_goes_where_it_is_needed(tmp_path: Path) -> None:
    made = planned(tmp_path, "SEED = 1", READ, "df['a'] = 1", "plot(df)", SPLIT, "X_train.hist()", "model = Ridge()")
    assert [plan.stage_of(made, one) for one in made.statements] == [
        *(plan.LEFT, "ingest", "features", plan.LEFT, "features", plan.LEFT, "train", "train", "headline")
    ]


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (["df = load_wine(as_frame=True).frame", SPLIT], "cell 1 (`df = load_wine(as_frame=True).frame`): no cell"),
        (
            [READ, "def add():\n    return df * 2", "df = add()", SPLIT],
            "cell 2 (`def add():`): the function add reads `df`",
        ),
        (
            [READ, "top = df.a.max()", SPLIT, "model = Ridge(top)"],
            "cell 2 (`top = df.a.max()`): `top` (unknown) is made",
        ),
        (
            [READ, SPLIT, "X_train = Own(X_train)"],
            "cell 3 (`X_train = Own(X_train)`): between `X_train` and the model",
        ),
    ],
)
def test_what_no_stage_could_have_is_refused_by_the_cell(sources: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        planned(tmp_path, *sources)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("out_of_order", r"cell 4 \(.*\): it ran before cell 3"),
        ("absolute_path", r"cell 2 \(.*\): `/home/anna/data/customers.csv` is a path of one machine"),
        ("token", r"cell 7 \(.*\): it or its output holds a key or a token"),
    ],
)
def test_a_notebook_is_refused_before_it_runs(name: str, words: str, pages: Path) -> None:
    with pytest.raises(InputError, match=words):
        understand(ROOT, page(name, pages))


def test_the_headline_is_what_metric_names_else_what_is_printed_last() -> None:
    fitted = "model.fit(X, y)\nmae = mean_absolute_error(t, model.predict(X))\nauc = roc_auc_score(t, model.predict(X))"
    found = statements(fitted, "print(mae)\nprint(f'AUC {auc:.2f}')")
    numbers = {(1, "mean_absolute_error(t, model.predict(X))"): 1.0, (3, "mae"): 1.0, (4, "auc"): 2.0}
    seen = Seen(numbers=numbers)
    chosen = {metric: plan.choose(found, seen, metric)[0].at.index for metric in ("", "mae", "auc", "absolute")}
    assert chosen == {"": 4, "mae": 3, "auc": 4, "absolute": 1}
    with pytest.raises(InputError, match="METRIC=f1 names no number"):
        plan.choose(found, seen, "f1")


def test_a_table_comes_back_as_pandas_had_it() -> None:
    times = pd.to_datetime(["2024-01-01", "2024-05-31"])
    table = pd.DataFrame({"n": pd.Series([1, 2], dtype="int32"), "x": [0.5, None], "t": times, "w": ["a", None]})
    table["c"] = table["w"].astype("category")
    known = from_pandas(table.set_index(pd.Index([7, 9])))
    assert [str(kind) for kind in known.dtypes][:2] == ["Int64", "Float64"]
    pd.testing.assert_frame_equal(to_pandas(known, changed_types(table, known)), table)


def test_a_column_of_several_types_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="the column 'mixed' is neither of numbers nor texts nor times"):
        from_pandas(pd.DataFrame({"mixed": ["a", 1]}))


def test_what_was_split_already_keeps_its_rows_and_their_numbers() -> None:
    known, held_out = pd.DataFrame({"a": [1.0, 2.0]}, index=[4, 0]), pd.DataFrame({"a": [3.0]}, index=[2])
    found = as_split(known, pd.Series([True, False]), held_out, [True], answer="y", key="row")
    assert found.rows() == [(4, 1.0, 1, "fit"), (0, 2.0, 0, "fit"), (2, 3.0, 1, "holdout")]


def see(name: str, pages: Path) -> tuple[float, list[str], list[str]]:
    """Run a notebook twice; return its number, the likely leaks, and the plan as it is printed."""
    made = understand(ROOT, page(name, pages))
    seen, roles = see_tables(made)
    return made.headline.number, list(leaks.tell(made, seen, roles)), plan.tabled(made)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "unseeded_split",
            r"cell 4 \(.*train_test_split.* sets no random_state.*: the number was 0\.\d+ in one run and",
        ),
        ("global_state", r"cell 5 \(.*np.random.seed is one global state"),
    ],
)
def test_what_two_runs_or_two_stages_would_not_repeat_is_refused(name: str, words: str, pages: Path) -> None:
    with pytest.raises(InputError, match=words):
        see(name, pages)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import os\nos._exit(3)", "its process ended"),
        ("raise SystemExit('done')", "SystemExit: done"),
        ("input()", "EOFError"),
    ],
)
def test_a_cell_that_ends_the_notebook_is_named(source: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"cell 1 .*it fails when the notebook runs from the top: {words}"):
        run(tmp_path / "page.ipynb", statements(source))


@pytest.mark.slow
def test_what_draws_without_a_seed_of_its_own_is_noted(tmp_path: Path) -> None:
    seeded = "X, y = pd.DataFrame({'a': range(9)}), range(9)\ntrain_test_split(X, y, random_state=1)\nKFold(5)"
    drawing = "train_test_split(X, y)\ntrain_test_split(X, y, random_state=None)\nX.sample(frac=0.5)\nnp.random.rand(3)"
    start = "import numpy as np, pandas as pd\nfrom sklearn.model_selection import KFold, train_test_split\n"
    seen = run(tmp_path / "page.ipynb", statements(start, seeded, drawing))
    assert seen.draws == {5, 6, 7, 8}


@pytest.mark.slow
def test_a_number_is_noted_with_all_its_digits_however_it_is_printed(tmp_path: Path) -> None:
    ways = ("print('x', round(x, 2))", "print(f'{x:.1f}')", "print('%.2f' % x)", "print('{:.2f}'.format(x))", "x")
    for way in ways:
        seen = run(tmp_path / "page.ipynb", statements("x = 1 / 3", way))
        assert seen.numbers == {(0, "1 / 3"): 1 / 3, (1, "x"): 1 / 3}


@pytest.mark.slow
def test_workers_that_a_notebook_started_end_with_it(tmp_path: Path) -> None:
    workers = "from sklearn.utils.parallel import Parallel, delayed\n"
    source = f"{workers}lengths = Parallel(n_jobs=2)(delayed(len)(one) for one in ('a', 'bc'))\n0"
    begun = time.monotonic()
    seen = run(tmp_path / "page.ipynb", statements(source))
    assert seen.held[2]["lengths"] == "list"
    assert time.monotonic() - begun < 200  # joblib's own wait 300 seconds for more work


@pytest.mark.slow
def test_of_two_models_the_better_is_promoted_and_who_chose_it_is_told(pages: Path) -> None:
    number, told, table = see("two_models", pages)
    assert number > 0.7
    assert "test rows chose the model" in told[0]
    assert "| 4 | `line = LogisticRegression(C=1e-06)` | left out: the number does not need it |" in table


@pytest.mark.slow
def test_plots_are_left_out_and_named(pages: Path) -> None:
    _, _, table = see("plots", pages)
    assert len([line for line in table if "left out: the number does not need it" in line]) >= 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("leak", "cell 3 .*StandardScaler.* is fitted before the split"),
        ("scaled_before", "cell 4 .*StandardScaler.* is fitted before the split"),
        ("filled_before", "cell 4 .*fillna.* is fitted before the split"),
        ("chosen_before", "SelectKBest.* of cell 5, .* before the split knows the rows that judge"),
        ("mean_of_the_answer", "cell 4 .*the mean of `left`, so each row knows its answer"),
        ("the_answer_itself", "`account_closed` alone tells `left` almost wholly"),
        ("time_shuffled", "cell 5 .*time is shuffled: rows have joined"),
        ("copies", "rows that judge stand in training, too"),
        ("threshold", "cell 7 .*`y_test`, which judges, chooses scores"),
        ("parameter", "cell 6 .*rows that judge choose among several, that is a leak"),
        ("stopped_early", "cell 6 .*training sees .*also what judges the model"),
    ],
)
def test_each_planted_leak_is_told_or_refused_as_one(name: str, words: str, pages: Path) -> None:
    try:
        told = see(name, pages)[1]
    except InputError as refused:
        told = [str(refused)]
    assert [one for one in told if re.search(words, one)], told


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clean_forest", "clean_pipeline", "clean_scaled", "chains", "plots"])
def test_no_leak_is_told_of_a_notebook_without_one(name: str, pages: Path) -> None:
    assert see(name, pages)[1] == []


@pytest.mark.slow
def test_a_scaler_ships_with_the_model_also_where_it_takes_the_name_of_the_inputs(pages: Path, tmp_path: Path) -> None:
    text = page("clean_scaled", pages).read_text(encoding="utf-8")
    shutil.copy(pages / "clean_scaled" / "customers.csv", tmp_path)
    scaled = tmp_path / "scaled.ipynb"
    scaled.write_text(text.replace("X_train_scaled", "X_train").replace("X_test_scaled", "X_test"), encoding="utf-8")
    made, known = understand(ROOT, scaled), understand(ROOT, page("clean_scaled", pages))
    assert made.steps == known.steps == ["scaler"]
    assert made.headline.number == known.headline.number


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory, copy_of_this_repo: Callable[[Path], Path], shell: Shell) -> Path:
    """This repository without its samples, set up."""
    folder = copy_of_this_repo(tmp_path_factory.mktemp("fork") / "clone")
    shell("git", "rm", "-r", "--quiet", "pipelines", folder=folder)  # whose samples take longer
    shell("make", "lock", "setup", folder=folder)
    return folder


def promoted(name: str, pages: Path, fork: Path, shell: Shell) -> Path:
    """Promote a notebook of `notebooks/`, which stays as it is; the last lines must show one number twice."""
    file = fork / "notebooks" / name / f"{name}.ipynb"
    shutil.copytree(pages / name, file.parent)
    before = file.read_bytes()
    shell("git", "add", "notebooks", folder=fork)
    printed = shell(
        "make", "promote", f"NOTEBOOK=notebooks/{name}/{name}.ipynb", f"NAME={name}", folder=fork
    ).splitlines()
    assert name == "in_place" or "LIKELY A LEAK" not in "".join(
        printed
    )  # its rows have a time, and are drawn at random
    one, other = re.findall(r"([\d.]+) in the (?:notebook|pipeline)", printed[-3])
    assert float(one) == pytest.approx(float(other), rel=1e-9)
    assert "nobody could have repeated: nothing" in printed[-2]
    assert "left for a person" in printed[-1]
    assert file.read_bytes() == before
    return fork / "pipelines" / name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clean_pipeline", "clean_scaled", "in_place", "chains"])
def test_a_pipeline_reaches_the_number_of_its_notebook(name: str, pages: Path, fork: Path, shell: Shell) -> None:
    folder = promoted(name, pages, fork, shell)
    assert not [file for file in folder.rglob("*") if file.suffix in {".pkl", ".pickle", ".joblib"}]


@pytest.mark.slow
def test_what_is_written_passes_all_but_what_a_person_must_say_and_no_change_goes_unseen(
    pages: Path, fork: Path, shell: Shell
) -> None:
    folder = promoted("clean_forest", pages, fork, shell)
    declared = folder / "pyproject.toml"
    declared.write_text(declared.read_text(encoding="utf-8").replace("draft = true\n", ""), encoding="utf-8")
    shell("git", "add", "pipelines", folder=fork)
    said = shell("make", "lint", folder=fork, status=None)
    assert {line.strip() for line in said.splitlines() if "pipelines/clean_forest" in line} == {
        line.strip() for line in said.splitlines() if "OB107 pipelines/clean_forest/card.toml" in line
    }
    shell("make", "types", folder=fork)
    look = ("make", "test", "PIPELINE=clean_forest")
    shell(*look, folder=fork)
    for module, old, new in (
        ("train.py", "model = RandomForestClassifier(", "model = RandomForestClassifier(max_depth=1, "),
        ("features.py", 'X = df[["months", "calls", "spent", "per_month"]]', 'X = df[["months", "calls", "spent"]]'),
        ("ingest.py", 'df["months"] > 2', 'df["months"] <= 2'),
    ):
        file = folder / "src/clean_forest" / module
        before = file.read_text(encoding="utf-8")
        assert old in before
        file.write_text(before.replace(old, new), encoding="utf-8")
        assert "failed" in shell(*look, folder=fork, status=2)
        file.write_text(before, encoding="utf-8")
