"""What the doctor sees of hooks, and of the rules that protect main."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onebutton_contracts.dvc_files import read_yaml
from onebutton_workbench.runs import doctor
from onebutton_workbench.workspace import ROOT

if TYPE_CHECKING:
    import pytest


def test_hooks_of_a_persons_own_are_told_as_setup_tells_them(
    tmp_path: Path, shell: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("git", "init", "--quiet", folder=tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (tmp_path / ".gitconfig").write_text("[core]\n\thooksPath = /company/hooks\n", encoding="utf-8")
    ((subject, state, words),) = doctor.repository(tmp_path)
    assert (subject, state) == ("hooks", "NOT RUN")
    assert words.startswith("git's core.hooksPath is /company/hooks, so the hooks of this repo are not installed")


RULES: list[dict[str, Any]] = json.loads((ROOT / doctor.RULESET).read_text(encoding="utf-8"))["rules"]


def test_the_ruleset_requires_the_very_job_that_waits_for_all_others() -> None:
    parameters = {rule["type"]: rule.get("parameters", {}) for rule in RULES}
    (check,) = parameters["required_status_checks"]["required_status_checks"]
    job = read_yaml(ROOT / ".github/workflows/ci.yml")["jobs"][check["context"]]
    assert f"'{check['context']}'" in job["name"]  # what GitHub calls it, where it runs
    assert parameters["pull_request"]["require_code_owner_review"] is True
    content = json.loads((ROOT / doctor.RULESET).read_text(encoding="utf-8"))
    assert (content["enforcement"], content["bypass_actors"]) == ("active", [])
