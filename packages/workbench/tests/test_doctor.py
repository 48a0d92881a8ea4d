"""What the doctor sees of hooks, and of the rules that protect main."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from onebutton_contracts.dvc_files import read_yaml
from onebutton_workbench.runs import doctor
from onebutton_workbench.workspace import ROOT


def test_hooks_of_a_persons_own_are_told_as_setup_tells_them(
    tmp_path: Path, shell: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("git", "init", "--quiet", folder=tmp_path)
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (tmp_path / ".gitconfig").write_text("[core]\n\thooksPath = /company/hooks\n", encoding="utf-8")
    (hooks,) = [found for found in doctor.repository() if "hook" in found.subject]
    assert (hooks.subject, hooks.state) == ("hooks", "NOT RUN")
    assert hooks.words.startswith("git's core.hooksPath is /company/hooks, so the hooks of this repo are not installed")


RULES: list[dict[str, Any]] = json.loads((ROOT / doctor.RULESET).read_text(encoding="utf-8"))["rules"]


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[object], doctor.Finding]]:
    """Asks a server that answers as GitHub would for acme/data."""
    answer: list[object] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            good = (
                self.path == "/repos/acme/data/rules/branches/main" and self.headers["Authorization"] == "Bearer secret"
            )
            self.send_response(200 if good else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answer[-1]).encode())

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setattr(doctor, "ask", lambda *_: "git@github.com:acme/data.git")
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()

        def find(rules: object, token: str | None = None) -> doctor.Finding:
            answer.append(rules)
            address = f"http://127.0.0.1:{server.server_port}"
            return doctor.protection({"GITHUB_TOKEN": "secret" if token is None else token, "GITHUB_API_URL": address})

        yield find
        server.shutdown()


def test_a_main_with_every_rule_of_the_ruleset_is_well(github: Callable[..., doctor.Finding]) -> None:
    more = [*RULES, {"type": "pull_request", "parameters": {"required_approving_review_count": 2}}]
    assert [github(rules).state for rules in (RULES, more)] == ["ok", "ok"]


def test_a_rule_that_main_lacks_is_named_with_where_to_import_it(github: Callable[..., doctor.Finding]) -> None:
    (reviews, checks) = RULES[2:]
    loose = {**reviews, "parameters": {**reviews["parameters"], "require_code_owner_review": False}}
    other = {**checks, "parameters": {**checks["parameters"], "required_status_checks": [{"context": "lint"}]}}
    for rules, words in (
        ([], "deletion, non_fast_forward, pull_request, required_status_checks"),
        ([*RULES[:2], loose, checks], "require_code_owner_review"),
        ([*RULES[:2], reviews, other], "the required check all-green"),
    ):
        found = github(rules)
        assert found.state == "missing"
        assert found.words.startswith(f"GitHub lacks {words}. Settings, Rules, Rulesets, Import a ruleset: .github/")


def test_what_github_does_not_say_is_never_well(
    github: Callable[..., doctor.Finding], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert github(RULES, token="wrong").state == "NOT RUN"  # noqa: S106  that it is wrong is the point
    assert github(RULES, token="").words.endswith("with a token in GITHUB_TOKEN this asks GitHub")
    monkeypatch.setattr(doctor, "ask", lambda *_: "git@gitlab.com:acme/data.git")
    assert github(RULES).words.endswith("with a remote `origin` on github.com this asks GitHub")


def test_the_ruleset_requires_the_very_job_that_waits_for_all_others() -> None:
    parameters = {rule["type"]: rule.get("parameters", {}) for rule in RULES}
    (check,) = parameters["required_status_checks"]["required_status_checks"]
    job = read_yaml(ROOT / ".github/workflows/ci.yml")["jobs"][check["context"]]
    assert f"'{check['context']}'" in job["name"]  # what GitHub calls it, where it runs
    assert parameters["pull_request"]["require_code_owner_review"] is True
    content = json.loads((ROOT / doctor.RULESET).read_text(encoding="utf-8"))
    assert (content["enforcement"], content["bypass_actors"]) == ("active", [])
