"""grimp and our own follower of imports find the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from onebutton_workbench.lineage import imports as old
from onebutton_workbench.lineage.import_graph import read_imports
from onebutton_workbench.workspace import ROOT

FORMS = {
    "__init__": "",
    **dict.fromkeys("abcdefgh", ""),
    "c": "from forms import e\nfrom .f import *\nimport numpy.linalg as la, os.path, yaml\n",
    "e": "try:\n    from forms.g import thing as other\nexcept ImportError:\n    import forms.h\n",
    "h": "match 1:\n    case 1:\n        from importlib import resources\n    case _:\n        import polars.selectors as cs\n",
    "t": "import typing\nif typing.TYPE_CHECKING:\n    import other\nelse:\n    from shared.deep import f\n",
    "inner/__init__": "from forms import t\n",
    "inner/x": "from .. import a\nfrom ..b import thing\nfrom . import y\n",
    "inner/y": "import forms.c as c\n\n\ndef late():\n    from forms import d\n",
}


@pytest.fixture
def forms(workspace: Path) -> Path:
    """The small workspace with a member that has every form of import."""
    package = workspace / "packages/forms/src/forms"
    (package / "inner").mkdir(parents=True)
    (workspace / "packages/forms/pyproject.toml").write_text('[project]\nname = "forms"\n', encoding="utf-8")
    for name, text in FORMS.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    return workspace


def both(root: Path) -> tuple[dict[str, object], dict[str, object]]:
    """What every module of a workspace reaches: as the old follower says, and as the new one does."""
    before, after = {}, {}
    new = read_imports(root)
    for name in old.find_modules(root).keys() - {"onebutton_serving"}:  # it runs its `__main__`, which the old one forgot
        modules = set(old.reach(name, root))
        asked = {package for module in modules for package in old.direct_imports(module, root)[1]}
        before[name] = ({module.name for module in modules}, {package.partition(".")[0] for package in asked})
        after[name] = new.reached([name])
    return before, after


def test_both_find_the_same_in_the_planted_cases(forms: Path) -> None:
    before, after = both(forms)
    assert after == before


def test_both_find_the_same_in_this_repo() -> None:
    before, after = both(ROOT)
    assert after == before
