from pathlib import Path

import pytest

from onebutton_workbench.checks.audit import denied, is_denied


@pytest.mark.parametrize(
    "expression",
    ["BUSL-1.1", "BSL-1.1", "AGPL-3.0-or-later", "GNU Affero General Public License v3", "MIT AND AGPL-3.0-only",
     "Other/Proprietary License", "SSPL-1.0", "CC-BY-NC-4.0", "AGPL-3.0 OR LicenseRef-Commercial"],
)  # fmt: skip
def test_a_licence_that_binds_a_fork_is_denied(expression: str) -> None:
    assert is_denied(expression)


@pytest.mark.parametrize("expression", ["MIT", "BSL-1.0", "Apache-2.0 OR AGPL-3.0", "MPL-2.0", "GPL-3.0-or-later"])
def test_a_licence_that_leaves_a_choice_is_not(expression: str) -> None:
    assert not is_denied(expression)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install four distributions, as far as their metadata go."""
    for name, lines in {
        "open-one": ["License-Expression: MIT"],
        "closed-one": ["License: BUSL-1.1"],
        "silent-one": ["License: UNKNOWN"],
        "classified-one": ["License: see the file", "Classifier: License :: Other/Proprietary License"],
    }.items():
        about = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info" / "METADATA"
        about.parent.mkdir()
        about.write_text(
            "\n".join(["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *lines, ""]), encoding="utf-8"
        )
    monkeypatch.syspath_prepend(tmp_path)


NAMES = ["open-one", "closed-one", "silent-one", "classified-one", "absent-one"]


@pytest.mark.usefixtures("install")
def test_the_metadata_of_what_is_installed_decide() -> None:
    assert [(finding.check, finding.words) for finding in denied(NAMES)] == [
        (
            "OB302",
            "classified-one is under 'Other/Proprietary License', which a company that forks this may not accept",
        ),
        ("OB302", "closed-one is under 'BUSL-1.1', which a company that forks this may not accept"),
        ("OB302", "silent-one does not say under which licence it is"),
    ]
