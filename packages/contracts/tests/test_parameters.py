from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic.dataclasses import dataclass

from onebutton_contracts.errors import InputError
from onebutton_contracts.parameters import STRICT, load_parameters


@dataclass(frozen=True, config=STRICT)
class Trees:
    learning_rate: float
    num_leaves: list[int]
    seed: int


@dataclass(frozen=True, config=STRICT)
class Params:
    trees: Trees
    title: str


GOOD = """
title: late flights
trees:
  learning_rate: 0.1
  num_leaves: [15, 31]
  seed: 2013
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "params.yaml"


def refusal(file: Path, text: str) -> str:
    """Write parameters and return why they are refused."""
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_parameters(Params, file)
    start, end = f"{file}: ", ". Mend the file, then press `make run`"
    assert str(caught.value).startswith(start)
    return str(caught.value).removeprefix(start).removesuffix(end)


def test_parameters_say_what_their_file_says(file: Path) -> None:
    file.write_text(GOOD, encoding="utf-8")
    assert load_parameters(Params, file) == Params(Trees(0.1, [15, 31], 2013), "late flights")


def test_a_file_of_toml_is_held_to_the_same_rules(tmp_path: Path) -> None:
    file, text = (
        tmp_path / "params.toml",
        'title = "late flights"\n[trees]\nlearning_rate = 0.1\nnum_leaves = [15, 31]\nseed = 2013\n',
    )
    file.write_text(text, encoding="utf-8")
    assert load_parameters(Params, file) == Params(Trees(0.1, [15, 31], 2013), "late flights")
    assert refusal(file, text.replace("seed", "sede")) == "trees.seed: missing; trees.sede: unknown key"
    assert "not a file of parameters" in refusal(file, "[trees\n")


def test_a_whole_number_is_a_number(file: Path) -> None:
    file.write_text(GOOD.replace("0.1", "1"), encoding="utf-8")
    assert load_parameters(Params, file).trees.learning_rate == 1.0


@pytest.mark.parametrize(
    ("said", "instead", "fault"),
    [
        ("seed: 2013", "seed: 2013\n  sed: 1", "trees.sed: unknown key"),
        ("  seed: 2013\n", "", "trees.seed: missing"),
        ("title: late flights\n", "", "title: missing"),
        ("0.1", "ten", "trees.learning_rate: input should be a valid number"),
        ("0.1", '"0.1"', "trees.learning_rate: input should be a valid number"),
        ("0.1", ".inf", "trees.learning_rate: input should be a finite number"),
        ("0.1", "true", "trees.learning_rate: input should be a valid number"),
        ("2013", "2013.0", "trees.seed: input should be a valid integer"),
        ("2013", "", "trees.seed: input should be a valid integer"),
        ("[15, 31]", "31", "trees.num_leaves: input should be a valid array"),
        ("[15, 31]", "[15, many]", "trees.num_leaves.1: input should be a valid integer"),
    ],
)
def test_a_mistake_in_a_parameter_is_named(file: Path, said: str, instead: str, fault: str) -> None:
    assert said in GOOD
    assert refusal(file, GOOD.replace(said, instead)) == fault


def test_several_mistakes_are_named_at_once(file: Path) -> None:
    text = GOOD.replace("seed", "sed").replace("0.1", "ten").replace("title: late flights", "title: 7")
    assert set(refusal(file, text).split("; ")) == {
        "trees.sed: unknown key",
        "trees.seed: missing",
        "trees.learning_rate: input should be a valid number",
        "title: input should be a valid string",
    }


def test_a_missing_file_is_refused_with_the_way_to_bring_it_back(file: Path) -> None:
    with pytest.raises(
        InputError, match=rf"cannot be read: No such file or directory. `git checkout {file}` brings it back"
    ):
        load_parameters(Params, file)


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        load_parameters(Params, tmp_path)


def test_a_file_that_is_not_yaml_is_refused(file: Path) -> None:
    assert refusal(file, "trees: [").startswith("not YAML: ")


def test_an_empty_file_is_refused(file: Path) -> None:
    assert refusal(file, "") == "not a mapping of names to values"


@settings(max_examples=150, deadline=None)
@given(
    content=st.binary(max_size=30) | st.text(alphabet="trees: 0.1-[]{}'\"\n&*!|>#?2013", max_size=60).map(str.encode)
)
def test_no_content_of_the_file_ends_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "params.yaml"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"params\.yaml: "):  # nothing so short is all of the parameters
        load_parameters(Params, file)


def test_a_number_with_an_exponent_is_a_number_as_it_is_to_dvc(tmp_path: Path) -> None:
    @dataclass(frozen=True, config=STRICT)
    class Rate:
        rate: float

    file = tmp_path / "params.yaml"
    file.write_text("rate: 1e-5\n", encoding="utf-8")
    assert load_parameters(Rate, file).rate == 0.00001


def test_a_date_is_named_with_the_line_that_mends_it(file: Path) -> None:
    words = refusal(file, GOOD.replace("late flights", "2013-07-01"))
    assert words.endswith("2013-07-01 is read as a date; write it in quotes: '2013-07-01'")
    file.write_text(GOOD.replace("late flights", "'2013-07-01'"), encoding="utf-8")
    assert load_parameters(Params, file).title == "2013-07-01"
