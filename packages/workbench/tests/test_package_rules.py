import pytest

from onebutton_workbench.bootstrap import SetupError, from_elsewhere, locked, sync
from onebutton_workbench.workspace import ROOT

SETTINGS = 'package-hosts = ["pypi.org", "files.pythonhosted.org"]\n'
LOCK = f"""version = 1

[[package]]
name = "one"
version = "1.0"
source = {{ registry = "https://pypi.org/simple" }}
sdist = {{ url = "https://files.pythonhosted.org/one.tar.gz", hash = "sha256:{"1" * 64}" }}
wheels = [
    {{ url = "https://files.pythonhosted.org/one.whl", hash = "sha256:{"2" * 64}" }},
]

[[package]]
name = "own"
version = "0.1"
source = {{ editable = "packages/own" }}
"""


def test_the_lock_of_this_repository_comes_from_the_hosts_that_it_lists() -> None:
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("uv.lock", "pyproject.toml")]
    assert from_elsewhere(*texts) == []
    assert len(from_elsewhere(texts[0], "")) > 4000


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("files.pythonhosted.org/one.whl", "files.example.org/one.whl", 9),
        ("files.pythonhosted.org/one.tar", "evil.org#files.pythonhosted.org/one.tar", 7),
        ("files.pythonhosted.org/one.tar", "evil.org?https://files.pythonhosted.org/one.tar", 7),
        ("https://files.pythonhosted.org/one.whl", "http://files.pythonhosted.org/one.whl", 9),
        ("//files.pythonhosted.org/one.whl", "//x@files.pythonhosted.org/one.whl", 9),
        ('url = "https://files.pythonhosted.org/one.whl', 'path = "../one.whl', 9),
        ('registry = "https://pypi.org/simple"', 'git = "https://github.com/x/one"', 6),
        ('registry = "https://pypi.org/simple"', 'registry = "file:///tmp/simple"', 6),
        ('registry = "https://pypi.org/simple"', "git = 'git+ssh://git@github.com/x/one'", 6),
        (f', hash = "sha256:{"2" * 64}"', "", 9),
        (f"sha256:{'2' * 64}", "md5:22", 9),
        ("packages/own", "../elsewhere", 15),
        ("packages/own", "packages/../../elsewhere", 15),
        ('"https://files.pythonhosted.org/one.whl', '"\\u0068ttps:\\u002f/evil.org/one.whl', 9),
    ],
)
def test_a_package_from_elsewhere_is_found_with_its_line(old: str, new: str, line: int) -> None:
    assert old in LOCK
    (found,) = from_elsewhere(LOCK.replace(old, new), SETTINGS)
    assert found.startswith(f"uv.lock:{line}: ")
    assert from_elsewhere(LOCK, SETTINGS) == []


def test_uv_is_not_even_called_while_the_lock_leads_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onebutton_workbench.bootstrap.from_elsewhere", lambda *_: ["uv.lock:9: planted"])
    with pytest.raises(SetupError, match=r"^OB421 uv\.lock:9: planted\. Nothing was installed"):
        sync("no-such-uv")


def test_uv_is_held_to_the_hashes_of_all_its_own_files() -> None:
    lock = (ROOT / "uv.lock").read_text(encoding="utf-8")
    _, hashes = locked(lock, "uv")
    assert 10 < len(hashes) < 30
    assert all(lock.index('\nname = "uv"\n') < lock.index(one) for one in hashes)
