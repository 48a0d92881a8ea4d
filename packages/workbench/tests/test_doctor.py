"""What the doctor sees of hooks, and of the rules that protect main."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.dvc_files import read_yaml
from onebutton_workbench.runs import doctor
from onebutton_workbench.workspace import ROOT


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


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[object], doctor.Line]:
    """Asks a `gh` that answers as GitHub would; without an answer it is not signed in."""
    (tmp_path / ".github").mkdir()
    (tmp_path / doctor.RULESET).write_bytes((ROOT / doctor.RULESET).read_bytes())
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def find(rules: object) -> doctor.Line:
        gh = tmp_path / "gh"
        gh.write_text(
            f"#!/bin/sh\n[ \"$2\" = 'repos/{{owner}}/{{repo}}/rules/branches/main' ] && echo '{json.dumps(rules)}'\n"
        )
        if rules is None:
            gh.write_text("#!/bin/sh\nexit 4\n")
        gh.chmod(0o755)
        return doctor.protection(tmp_path)

    return find


def test_a_main_with_every_rule_of_the_ruleset_is_well(github: Callable[[object], doctor.Line]) -> None:
    more = [*RULES, {"type": "pull_request", "parameters": {"required_approving_review_count": 2}}]
    assert [github(rules)[1] for rules in (RULES, more)] == ["ok", "ok"]


def test_a_rule_that_main_lacks_is_named_with_where_to_import_it(github: Callable[[object], doctor.Line]) -> None:
    (reviews, checks) = RULES[2:]
    loose = {**reviews, "parameters": {**reviews["parameters"], "require_code_owner_review": False}}
    other = {**checks, "parameters": {**checks["parameters"], "required_status_checks": [{"context": "lint"}]}}
    for rules, words in (
        ([], "deletion, non_fast_forward, pull_request, required_status_checks"),
        ([*RULES[:2], loose, checks], "require_code_owner_review"),
        ([*RULES[:2], reviews, other], "the required check all-green"),
    ):
        _, state, said = github(rules)
        assert state == "missing"
        assert said.startswith(f"GitHub lacks {words}. Settings, Rules, Rulesets, Import a ruleset: .github/")


def test_what_github_does_not_say_is_never_well(github: Callable[[object], doctor.Line]) -> None:
    assert github(None)[1] == "NOT RUN"


def test_the_ruleset_requires_the_very_job_that_waits_for_all_others() -> None:
    parameters = {rule["type"]: rule.get("parameters", {}) for rule in RULES}
    (check,) = parameters["required_status_checks"]["required_status_checks"]
    job = read_yaml(ROOT / ".github/workflows/ci.yml")["jobs"][check["context"]]
    assert f"'{check['context']}'" in job["name"]  # what GitHub calls it, where it runs
    assert parameters["pull_request"]["require_code_owner_review"] is True
    content = json.loads((ROOT / doctor.RULESET).read_text(encoding="utf-8"))
    assert (content["enforcement"], content["bypass_actors"]) == ("active", [])
