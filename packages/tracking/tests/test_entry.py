"""Against a real MLflow in a SQLite file."""

import os
import pwd
from pathlib import Path

import pytest

from onebutton_tracking.mirror import mirror
from onebutton_tracking.store import tracking_uri


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_a_user_of_a_container_without_a_name_is_told_by_number(
    pipeline: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    from mlflow import MlflowClient

    def nobody(number: int) -> None:
        raise error(number)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    uri = tracking_uri(pipeline.parents[1])
    mirror(pipeline, uri)
    client = MlflowClient(uri, uri)
    (run,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert run.data.tags["mlflow.user"] == str(os.getuid())
