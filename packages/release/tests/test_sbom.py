import json
from pathlib import Path

import pytest

from onebutton_contracts.errors import InputError
from onebutton_release.sbom import bill_of_materials

ROOT = Path(__file__).resolve().parents[3]


def test_the_bill_of_a_release_names_each_package_of_the_server_with_its_licence() -> None:
    first = bill_of_materials(ROOT)
    found = {one["name"]: one for one in json.loads(first)["components"]}
    assert {"onebutton-models", "onnxruntime", "starlette"} <= set(found)
    assert "mlflow" not in found
    assert found["onnxruntime"]["licenses"] == [{"license": {"name": "MIT License"}}]
    assert [name for name, one in found.items() if not one.get("licenses")] == []
    assert bill_of_materials(ROOT) == first  # a release is named after its bytes


def test_the_bill_of_everything_has_tools_too() -> None:
    names = {one["name"] for one in json.loads(bill_of_materials(ROOT, ""))["components"]}
    assert {"mlflow", "dvc", "ruff", "onnxruntime"} <= names


def test_without_a_lock_there_is_no_bill(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="uv could not list what onebutton-serving is made of"):
        bill_of_materials(tmp_path)
