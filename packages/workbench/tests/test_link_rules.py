"""No page outside of a pipeline links into it, so that a team can remove it without mending pages."""

import pytest

from onebutton_workbench.checks.text_rules import check_links


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("docs/a.md", "First.\n\nSee [the plan](../pipelines/churn/dvc.yaml#L4).\n"),
        ("README.md", "One.\n\n[churn](pipelines/churn/)\n"),
        ("packages/models/README.md", "One.\n\n[churn]: ../../pipelines/churn/README.md\n"),
        ("pipelines/other/README.md", "One.\n\n[![curve](../churn/plots/a.svg)](page.md)\n"),
    ],
)
def test_a_link_into_a_pipeline_is_found_with_its_line(path: str, text: str) -> None:
    (words,) = map(str, check_links(path, text))
    assert words.startswith(f"OB305 {path}:3: links to pipelines/churn")
    assert "dead when pipelines/churn is removed" in words


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("pipelines/churn/README.md", "[plan](dvc.yaml) and [card](card.md) and [above](../../docs/a.md)\n"),
        ("docs/a.md", "`pipelines/churn/dvc.yaml`, [models](../packages/models/README.md), [all](../pipelines)\n"),
        ("docs/a.md", "[elsewhere](https://example.org/pipelines/churn/dvc.yaml)\n"),
    ],
)
def test_other_links_are_none_of_its_business(path: str, text: str) -> None:
    assert list(check_links(path, text)) == []
