import dataclasses
import importlib
import sys
from pathlib import Path

import pytest

from onebutton_contracts.contract import Contract
from onebutton_contracts.errors import InputError
from onebutton_contracts.sources import pinned_source, sha256

CONTENT = b"carrier,flight\nUA,1545\n"
DIGEST = "ccd54e0d0bcbf7b518bf5e4762225db2476dc4e11941dcc97af4b6fb8d0f8218"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a distribution that brings a table and whose module no longer imports; return the path of the table."""
    about = tmp_path / "oldflights-1.0.dist-info" / "METADATA"
    module = tmp_path / "oldflights" / "__init__.py"
    table = tmp_path / "oldflights" / "data" / "flights.csv"
    for file, content in (
        (about, b"Metadata-Version: 2.1\nName: oldflights\nVersion: 1.0\n"),
        (module, b"import pkg_resources_that_is_gone\n"),
        (table, CONTENT),
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    return table


@pytest.fixture
def pinned(contract: Contract) -> Contract:
    return dataclasses.replace(contract, properties=contract.properties | {"sourceSha256": DIGEST})


def test_the_file_is_found_in_a_distribution_that_cannot_be_imported(installed: Path, pinned: Contract) -> None:
    assert pinned_source(pinned) == installed
    assert "oldflights" not in sys.modules
    with pytest.raises(ModuleNotFoundError, match="pkg_resources_that_is_gone"):
        importlib.import_module("oldflights")


@pytest.mark.usefixtures("installed")
def test_a_file_that_is_not_the_pinned_one_is_refused_with_the_way_back(contract: Contract) -> None:
    with pytest.raises(InputError) as caught:
        pinned_source(contract)
    message = str(caught.value)
    assert f"oldflights/data/flights.csv of oldflights is not the file that {contract.path} pins" in message
    assert f"sha256 {DIGEST[:12]}…, pinned 0a1b2c…" in message
    assert "`uv sync --all-packages --reinstall-package oldflights` brings the file back" in message


def test_one_changed_byte_is_noticed(installed: Path, pinned: Contract) -> None:
    installed.write_bytes(CONTENT.replace(b"1545", b"1546"))
    with pytest.raises(InputError, match="is not the file that"):
        pinned_source(pinned)


def test_a_distribution_that_is_not_installed_is_refused_with_the_button_that_installs_it(pinned: Contract) -> None:
    with pytest.raises(InputError, match=r"oldflights does not bring oldflights/data/flights.csv.* `make setup`"):
        pinned_source(pinned)


def test_a_distribution_without_the_file_is_refused_with_the_button_that_installs_it(
    installed: Path, pinned: Contract
) -> None:
    installed.unlink()
    with pytest.raises(InputError, match=r"oldflights does not bring oldflights/data/flights.csv.* `make setup`"):
        pinned_source(pinned)


def test_a_contract_that_names_no_source_is_refused(contract: Contract) -> None:
    without = {name: value for name, value in contract.properties.items() if name != "sourceFile"}
    with pytest.raises(InputError, match="flights does not name its 'sourceFile'"):
        pinned_source(dataclasses.replace(contract, properties=without))


def test_the_digest_is_that_of_sha256sum(tmp_path: Path) -> None:
    file = tmp_path / "abc"
    file.write_bytes(b"abc")  # the example of FIPS 180-2
    assert sha256(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
