"""A run knows the sources that made it, also when MLflow was away and the sources were edited since."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from packages.tracking.tests.conftest import client, runs

from onebutton_tracking.commit import RECORD, record
from onebutton_tracking.mirror import mirror

if TYPE_CHECKING:
    from mlflow.entities import Run


def the_run(uri: str) -> Run:
    (run,) = runs(uri)
    return run


def patch_of(uri: str, run: Run, folder: Path) -> str:
    store = client(uri)
    if "sources/patch.diff" not in {entry.path for entry in store.list_artifacts(run.info.run_id, "sources")}:
        return ""
    return Path(store.download_artifacts(run.info.run_id, "sources/patch.diff", str(folder))).read_text(
        encoding="utf-8"
    )


def edit_and_run(folder: Path, words: str) -> None:
    """Edit a source and leave results as `dvc repro` would."""
    (folder / "dvc.yaml").write_text(
        (folder / "dvc.yaml").read_text(encoding="utf-8") + f"# {words}\n", encoding="utf-8"
    )
    lock = folder / "dvc.lock"
    lock.write_text(lock.read_text(encoding="utf-8").replace("rate: 0.1", "rate: 0.2"), encoding="utf-8")
    record(folder, {"train": 12.34}, {"train": 411.9})


def test_a_run_from_edited_sources_keeps_the_patch_until_a_commit_holds_them(
    checkout: Path, uri: str, git: Any, tmp_path: Path
) -> None:
    edit_and_run(checkout, "edited")
    mirror(checkout, uri, just_run=True)
    run = the_run(uri)
    assert run.data.tags["onebutton.dirty"] == "true"
    assert run.data.tags["onebutton.seconds.train"] == "12.3"
    assert run.data.tags["onebutton.peak_mb.train"] == "412"
    assert run.info.run_name.startswith(git(checkout, "rev-parse", "HEAD")[:8] + "+")
    assert "+# edited" in patch_of(uri, run, tmp_path)
    assert "in no commit yet" in mirror(checkout, uri)

    git(checkout, "commit", "--quiet", "--all", "--message", "feat: edited")
    assert "its sources are now commit" in mirror(checkout, uri)
    run = the_run(uri)
    assert run.data.tags["mlflow.source.git.commit"] == git(checkout, "rev-parse", "HEAD")
    assert run.data.tags["onebutton.dirty"] == "false"
    assert "+" not in run.info.run_name
    assert mirror(checkout, uri).endswith(f"run {run.info.run_id[:8]}")


def test_sources_that_a_formatter_touched_before_the_commit_are_held_when_dvc_finds_them_to_agree(
    checkout: Path, uri: str, git: Any
) -> None:
    edit_and_run(checkout, "edited")
    mirror(checkout, uri, just_run=True)
    (checkout / "dvc.yaml").write_text((checkout / "dvc.yaml").read_text(encoding="utf-8") + "\n", encoding="utf-8")
    git(checkout, "commit", "--quiet", "--all", "--message", "feat: edited")
    assert "in no commit yet" in mirror(checkout, uri)  # the text is another: nobody knows
    assert "its sources are now commit" in mirror(
        checkout, uri, just_run=True
    )  # DVC has just said that the meaning is not


def test_what_was_edited_after_the_run_is_not_in_the_patch_of_a_late_mirror(
    checkout: Path, uri: str, tmp_path: Path
) -> None:
    edit_and_run(checkout, "edited")  # MLflow is away
    plan = checkout / "dvc.yaml"
    plan.write_text(plan.read_text(encoding="utf-8") + "# tomorrow\n", encoding="utf-8")
    mirror(checkout, uri)
    patch = patch_of(uri, the_run(uri), tmp_path)
    assert "+# edited" in patch
    assert "tomorrow" not in patch


def test_results_that_came_with_a_commit_belong_to_it_whatever_was_edited_since(
    checkout: Path, uri: str, git: Any
) -> None:
    first = git(checkout, "rev-parse", "HEAD")
    (checkout / "dvc.yaml").write_text(
        (checkout / "dvc.yaml").read_text(encoding="utf-8") + "# later\n", encoding="utf-8"
    )
    git(checkout, "commit", "--quiet", "--all", "--message", "feat: not run yet")
    mirror(checkout, uri)
    run = the_run(uri)
    assert (run.data.tags["mlflow.source.git.commit"], run.data.tags["onebutton.dirty"]) == (first, "false")


def test_a_record_that_cannot_be_read_is_none(checkout: Path, uri: str, git: Any) -> None:
    record(checkout, {})
    (checkout / RECORD).write_text("{", encoding="utf-8")
    mirror(checkout, uri)
    assert the_run(uri).data.tags["mlflow.source.git.commit"] == git(checkout, "rev-parse", "HEAD")
