"""Write notebooks as people do, small, each with one thing in it that makes promoting it hard, or nothing.

`python write_notebooks.py FOLDER` writes each into a folder of its own, its table beside it.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

ROWS = 900
Cells = list[str]  # one that begins with `#` and a blank is a heading


def write(folder: Path, name: str) -> Path:
    """Write a notebook with its table beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    table, cells = customers(), (NOTEBOOKS | LEAKS)[name]
    if not any("joined" in text for text in cells):
        table = table.drop("joined")  # rows of a time, drawn at random, are a leak of their own
    table.write_csv(folder / "customers.csv")
    nbformat: Any = importlib.import_module("nbformat")  # which has few types
    page = nbformat.v4.new_notebook()
    counts = ORDERS.get(name, range(1, 100))
    ran = iter(counts)
    for text in cells:
        if text.startswith("## "):
            page.cells.append(nbformat.v4.new_markdown_cell(text))
            continue
        cell = nbformat.v4.new_code_cell(text, execution_count=next(ran))
        if name == "token" and "print" in text:
            said = "key ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a\n"
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=said)]
        page.cells.append(cell)
    file = folder / f"{name}.ipynb"
    nbformat.write(page, file)
    return file


def customers(rows: int = ROWS) -> pl.DataFrame:
    """Customers, how long they stayed, what they paid, and whether they left."""
    chance = np.random.default_rng(11)
    months, calls, age = chance.integers(1, 60, rows), chance.poisson(2, rows), chance.normal(45, 12, rows).round(1)
    left = chance.random(rows) < 1 / (1 + np.exp(0.08 * months - 0.9 * calls + 0.5))
    spent = (20 + 3 * months + 5 * calls + chance.normal(0, 12, rows)).round(2)
    days = np.datetime64("2021-01-01") + np.sort(chance.integers(0, 700, rows)).astype("timedelta64[D]")
    return pl.DataFrame(
        {
            "customer": range(1, rows + 1),
            "joined": [str(day) for day in days],
            "months": months,
            "calls": calls,
            "age": [None if n % 31 == 0 else one for n, one in enumerate(age)],
            "plan": chance.choice(["basic", "plus", "pro"], rows),
            "spent": spent,
            "left": left.astype(int),
        }
    )


START = "import pandas as pd\nfrom sklearn.model_selection import train_test_split\n"
SPLIT = "X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=7)"
FOREST = (
    "from sklearn.ensemble import RandomForestClassifier\nfrom sklearn.metrics import accuracy_score\n\n"
    "model = RandomForestClassifier(n_estimators=40, min_samples_leaf=5, random_state=0)\nmodel.fit(X_train, y_train)"
)
ACCURACY = 'predicted = model.predict(X_test)\nprint(f"accuracy: {accuracy_score(y_test, predicted):.3f}")'
TABLE = (
    '# one row per customer\ndf = pd.read_csv("customers.csv")\n'
    '# those who have just come say little\ndf = df[df["months"] > 2]\ndf.head()'
)
X_Y = 'X = df[["months", "calls", "spent", "per_month"]]\ny = df["left"]'
PER_MONTH = 'df["per_month"] = df["spent"] / df["months"]'

NOTEBOOKS: dict[str, Cells] = {
    "clean_forest": [
        "## Who leaves?",
        START,
        "## Load",
        TABLE,
        "## Features",
        f"# what a month brings\n{PER_MONTH}\n{X_Y}",
        SPLIT,
        "## Model",
        FOREST,
        ACCURACY,
    ],
    "clean_pipeline": [
        START + "from sklearn.compose import ColumnTransformer\nfrom sklearn.impute import SimpleImputer\n"
        "from sklearn.linear_model import Ridge\nfrom sklearn.metrics import mean_absolute_error\n"
        "from sklearn.pipeline import Pipeline\nfrom sklearn.preprocessing import OneHotEncoder, StandardScaler",
        "## The data",
        (
            'SEED = 3\ncustomers = pd.read_csv("customers.csv")\n'
            'NUMBERS = customers.drop(columns=["customer", "spent", "left"]).select_dtypes("number").columns\n'
            'WORDS = [name for name in customers.columns if name == "plan"]'
        ),
        "## Split",
        (
            "train, test = train_test_split(customers, test_size=0.25, random_state=SEED)\n"
            "INPUTS = [*NUMBERS, *WORDS]\n"
            'X_train, y_train = train[INPUTS], train["spent"]\nX_test, y_test = test[INPUTS], test["spent"]'
        ),
        "## Fit and judge",
        (
            'numbers = Pipeline([("filled", SimpleImputer(strategy="median")), ("scaled", StandardScaler())])\n'
            'columns = ColumnTransformer([("numbers", numbers, NUMBERS), ("words", OneHotEncoder(), WORDS)])\n'
            'line = Pipeline([("columns", columns), ("ridge", Ridge(alpha=2.0))])\nline.fit(X_train, y_train)'
        ),
        'mae = mean_absolute_error(y_test, line.predict(X_test))\nprint("MAE:", round(mae, 2))',
    ],
    "clean_scaled": [
        START
        + "import numpy as np\nfrom sklearn.linear_model import LogisticRegression\nfrom sklearn.metrics import roc_auc_score\n"
        "from sklearn.preprocessing import StandardScaler",
        (
            'def add_rates(table):\n    """What a month brings."""\n    table = table.copy()\n'
            '    table["per_month"] = table["spent"] / table["months"]\n    return table'
        ),
        (
            'df = add_rates(pd.read_csv("customers.csv"))\n'
            'features = [one for one in df.columns if one in ("months", "calls", "per_month")]'
        ),
        f"X, y = df[features], df['left']\n{SPLIT}",
        "scaler = StandardScaler()\nX_train_scaled = scaler.fit_transform(X_train)\nX_test_scaled = scaler.transform(X_test)",
        "clf = LogisticRegression(C=0.5)\nclf.fit(X_train_scaled, y_train)",
        "roc_auc_score(y_test, clf.predict_proba(X_test_scaled)[:, 1])",
    ],
    "unseeded_split": [
        START,
        TABLE,
        PER_MONTH,
        f"{X_Y}\n{SPLIT.replace(', random_state=7', '')}",
        FOREST,
        # an accuracy of few rows would now and then be the same twice
        "from sklearn.metrics import roc_auc_score\n\nroc_auc_score(y_test, model.predict_proba(X_test)[:, 1])",
    ],
    "in_place": [
        START,
        "## Load",
        TABLE,
        "## Clean",
        'df.drop(columns=["customer"], inplace=True)\ndf.sort_values(["joined", "spent"], inplace=True)',
        "## More",
        f'{PER_MONTH}\ncolumns = ["months", "calls"]\ncolumns.append("per_month")',
        "## Model",
        f'X = df[columns]\ny = df["left"]\n{SPLIT}',
        FOREST,
        ACCURACY,
    ],
    "out_of_order": [START, TABLE, X_Y, PER_MONTH, SPLIT, FOREST, ACCURACY],
    "absolute_path": [
        START,
        TABLE.replace("customers.csv", "/home/anna/data/customers.csv"),
        PER_MONTH,
        X_Y,
        SPLIT,
        FOREST,
        ACCURACY,
    ],
    "global_state": [
        "import numpy as np\nnp.random.seed(5)\n" + START,
        TABLE,
        PER_MONTH,
        f"{X_Y}\n{SPLIT.replace(', random_state=7', '')}",
        FOREST.replace(", random_state=0", ""),
        ACCURACY,
    ],
    "plots": [
        START + "import matplotlib.pyplot as plt\n%matplotlib inline",
        TABLE,
        'plt.hist(df["spent"], bins=20)\nplt.show()',
        PER_MONTH,
        'df.plot.scatter("months", "spent")',
        X_Y,
        SPLIT,
        FOREST,
        ACCURACY,
        "plt.bar(X.columns, model.feature_importances_)\nplt.show()",
    ],
    "two_models": [
        START,
        TABLE,
        f"{PER_MONTH}\n{X_Y}\n{SPLIT}",
        (
            "from sklearn.linear_model import LogisticRegression\nfrom sklearn.metrics import accuracy_score\n\n"
            "line = LogisticRegression(C=1e-6)\nline.fit(X_train, y_train)\nbefore = accuracy_score(y_test, line.predict(X_test))"
        ),
        f"{FOREST}\nafter = accuracy_score(y_test, model.predict(X_test))",
        'print("best accuracy", max(before, after))',
    ],
    "chains": [
        START + "from sklearn.metrics import mean_absolute_error\nfrom lightgbm import LGBMRegressor",
        (
            'df = (\n    pd.read_csv("customers.csv")\n    .rename(columns=str.lower)\n    .query("months > 2")\n'
            '    .assign(per_month=lambda t: t["calls"] / t["months"], joined=lambda t: pd.to_datetime(t["joined"]))\n'
            '    .assign(year=lambda t: t["joined"].dt.year)\n    .sort_values("customer")\n    .reset_index(drop=True)\n)'
        ),
        'train = df.query("year == 2021")\ntest = df.query("year > 2021")\ncolumns = ["months", "calls", "per_month"]',
        'X_train, y_train = train[columns], train["spent"]\nX_test, y_test = test[columns], test["spent"]',
        "model = LGBMRegressor(n_estimators=30, verbose=-1, random_state=1)\nmodel.fit(X_train, y_train)",
        'print("MAE %.2f" % mean_absolute_error(y_test, model.predict(X_test)))',
    ],
    "token": [START, TABLE, PER_MONTH, X_Y, SPLIT, FOREST, ACCURACY],
    "leak": [
        START + "from sklearn.preprocessing import StandardScaler",
        TABLE,
        f'{PER_MONTH}\ndf[["months", "spent"]] = StandardScaler().fit_transform(df[["months", "spent"]])',
        X_Y,
        SPLIT,
        FOREST,
        ACCURACY,
    ],
}
ORDERS = {"out_of_order": [1, 2, 5, 4, 6, 7, 8]}  # in which its cells ran


def with_leak(before: str = "", *, inputs: str = X_Y, after: Cells | None = None) -> Cells:
    """A clean notebook with a leak in cell 4, before it takes inputs and answers; in these; or in what follows the split."""
    return [START, TABLE, PER_MONTH, *([before] if before else []), inputs, SPLIT, *(after or [FOREST, ACCURACY])]


BOOSTER = (
    "from lightgbm import LGBMClassifier, early_stopping\nfrom sklearn.metrics import accuracy_score\n\n"
    "model = LGBMClassifier(n_estimators=200, verbose=-1, random_state=0)\n"
    "model.fit(X_train, y_train, eval_set=[(X_test, y_test)], callbacks=[early_stopping(5)])"
)
BEST_DEPTH = (
    "from sklearn.ensemble import RandomForestClassifier\nfrom sklearn.metrics import accuracy_score\n\nbest = 0.0\n"
    "for depth in (2, 4, 8):\n"
    "    tried = RandomForestClassifier(max_depth=depth, random_state=0)\n    tried.fit(X_train, y_train)\n"
    "    score = accuracy_score(y_test, tried.predict(X_test))\n"
    "    if score > best:\n        best, model = score, tried"
)
BEST_THRESHOLD = (
    "import numpy as np\nchance = model.predict_proba(X_test)[:, 1]\n"
    "scores = [accuracy_score(y_test, chance > limit) for limit in np.linspace(0.1, 0.9, 17)]\n"
    "limit = np.linspace(0.1, 0.9, 17)[int(np.argmax(scores))]"
)
LEAKS: dict[str, Cells] = {  # ten ways to know what is not known yet
    "scaled_before": with_leak(
        "from sklearn.preprocessing import StandardScaler\n"
        'df[["months", "spent"]] = StandardScaler().fit_transform(df[["months", "spent"]])'
    ),
    "filled_before": with_leak('df["age"] = df["age"].fillna(df["age"].mean())\ndf["calls"] = df["calls"] + df["age"]'),
    "chosen_before": with_leak(
        "from sklearn.feature_selection import SelectKBest",
        inputs='y = df["left"]\nX = df[["months", "calls", "spent", "per_month"]]\n'
        "X = X.loc[:, SelectKBest(k=2).fit(X, y).get_support()]",
    ),
    "mean_of_the_answer": with_leak(
        'df["plan_left"] = df.groupby("plan")["left"].transform("mean")',
        inputs=X_Y.replace('"per_month"]', '"plan_left"]'),
    ),
    "the_answer_itself": with_leak(
        'df["account_closed"] = (df["left"] == 1).astype(int)',
        inputs='X = df[["months", "account_closed"]]\ny = df["left"]',
    ),
    "time_shuffled": [text.replace('"months"] > 2]', '"joined"] > "2021-01-15"]') for text in with_leak()],
    "copies": with_leak('df = pd.concat([df, df[df["left"] == 1]], ignore_index=True)'),
    "threshold": with_leak(
        after=[FOREST, BEST_THRESHOLD, 'print("accuracy", accuracy_score(y_test, chance > limit))'],
    ),
    "parameter": with_leak(after=[BEST_DEPTH, 'print("accuracy", accuracy_score(y_test, model.predict(X_test)))']),
    "stopped_early": with_leak(after=[BOOSTER, ACCURACY]),
}

if __name__ == "__main__":
    for each in NOTEBOOKS | LEAKS:
        write(Path(sys.argv[1]) / each, each)
