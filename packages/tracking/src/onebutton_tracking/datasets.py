"""The data sets behind a run: what its stages read, and the sources that its contracts pin."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_contracts.terms import Contract
from onebutton_tracking.results import Results, ResultsError

LONGEST_DIGEST = 36  # characters, in MLflow


@dataclass(frozen=True)
class DataSet:
    """One data set, as MLflow lists it among a run's inputs.

    Attributes:
        name: a path of the pipeline, or the name of a contract.
        digest: MD5 as DVC writes it, or the beginning of the SHA-256 that a contract pins.
        kind: `dvc`, or `distribution` for a file that a locked distribution carries.
        source: where it comes from, as JSON.
        read_by: the stages that read it, or `source`.
    """

    name: str
    digest: str
    kind: str
    source: str
    read_by: str


def list_datasets(results: Results) -> list[DataSet]:
    """List what a run was made of.

    Raises:
        ResultsError: a contract of the pipeline cannot be read.
    """
    read = [
        DataSet(path, results.data[path][:LONGEST_DIGEST], "dvc", json.dumps({"path": path}), ", ".join(stages))
        for path, stages in results.inputs.items()
    ]
    return [_pinned(contract) for contract in contracts(results.folder) if "sourceSha256" in contract.properties] + read


def contracts(folder: Path) -> list[Contract]:
    """Read every contract of a pipeline.

    Raises:
        ResultsError: one cannot be read.
    """
    from onebutton_contracts.contract import load_contract

    try:
        return [load_contract(path) for path in sorted(folder.glob("contracts/*.odcs.yaml"))]
    except InputError as error:
        raise ResultsError(str(error)) from None


def _pinned(contract: Contract) -> DataSet:
    facts = {key: text for key, text in contract.properties.items() if key.startswith("source")}
    digest = facts["sourceSha256"][:LONGEST_DIGEST]
    return DataSet(contract.name, digest, "distribution", json.dumps(facts, sort_keys=True), "source")
