from __future__ import annotations

from onebutton_workbench.summary import rows_of, table


def test_each_innermost_group_of_numbers_becomes_a_row() -> None:
    metrics = {"model": {"rows": 1000, "auc": 0.75}, "by_month": {"07": {"rows": 10}, "08": {"rows": 20}}}
    assert rows_of(metrics) == {
        "model": {"rows": 1000, "auc": 0.75},
        "by_month 07": {"rows": 10},
        "by_month 08": {"rows": 20},
    }


def test_columns_stand_under_their_names_and_a_missing_number_stays_empty() -> None:
    assert table({"model": {"rows": 1000, "auc": 0.75}, "base": {"rows": 7}}) == [
        "          rows     auc",
        "  model  1,000  0.7500",
        "  base       7        ",
    ]
