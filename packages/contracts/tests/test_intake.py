import gzip
import io
import subprocess
import tarfile
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from onebutton_contracts.contract import Contract, contract_of
from onebutton_contracts.errors import InputError
from onebutton_contracts.frames import is_pattern
from onebutton_contracts.intake.drafting import Origin, draft, outwards
from onebutton_contracts.intake.parsing import Parsed, parse
from onebutton_contracts.validation import validate

CSV = b"station,temp\nJFK,39.0\nLGA,39.9\n"
PICKLE = b"\x80\x04K\x01."  # of the number 1, written out: no file here imports pickle
ORIGIN = Origin("weather", "flights", "https://example.org/weather.csv", "weather.csv", "0" * 64, "CC0-1.0")


def put(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def table(path: Path) -> Parsed:
    return parse(path)


def drafted(parsed: Parsed) -> tuple[str, Contract]:
    text = draft(parsed.frame, ORIGIN, parsed.guesses)
    return text, contract_of(text, Path("weather.odcs.yaml"))


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"a;b\n1;2\n", "\ufeffa\tb\n1\t2\n".encode(), b"a|b\n1|2\n"])
def test_a_text_is_a_csv_whatever_its_name_and_its_delimiter(tmp_path: Path, content: bytes) -> None:
    assert table(put(tmp_path / "data.bin", content)).frame.rows(named=True) == [{"a": 1, "b": 2}]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"<!doctype html><p>sign in", "a web page or XML"),
        (b'[{"a": 1}]', "JSON: write its table as CSV or Parquet"),
        (b"one column\n", "text, but no table"),
        (b"\x00\x01\x02", "binary, of no known format"),
        ("größe,b\n1,2\n".encode("latin-1"), "iconv -f LATIN1 -t UTF-8"),
        (b"%PDF-1.7", "a PDF"),
        (PICKLE, "a pickle, and reading a pickle runs the code in it"),
    ],
)
def test_what_is_no_table_is_refused_by_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse(put(tmp_path / "data.csv", content))


def test_the_first_sheet_of_a_workbook_is_read_as_a_csv_would_be() -> None:
    found = table(Path(__file__).with_name("book.xlsx"))
    assert {column: str(kind) for column, kind in found.frame.schema.items()} == {
        "sold": "Date",
        "seen": "Datetime(time_unit='us', time_zone='UTC')",
        "size": "Float64",
        "kind": "String",
        "rooms": "Int64",
        "balcony": "Boolean",
        "floor": "String",
        "price": "Float64",
    }
    assert found.frame.height == 150
    assert found.frame["size"].null_count() == 4
    assert found.notes[0].startswith("the sheet Sales was read; not taken in: Notes. ")
    assert "column 'floor' stays text: 6 of 150 values are no number" in found.notes[1]
    assert found.guesses["seen"] == "the file names no time zone: is it UTC?"


def test_a_damaged_workbook_and_one_without_a_table_are_refused_in_a_line(tmp_path: Path) -> None:
    damaged = zipped(tmp_path / "book.xlsx", {"[Content_Types].xml": b"<x/>", "xl/workbook.xml": b"<x/>"})
    with pytest.raises(InputError, match=r"book.xlsx cannot be read: ") as refused:
        parse(damaged)
    assert "\n" not in str(refused.value)


def test_an_archive_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("weather.csv")
        info.size = len(CSV)
        archive.addfile(info, io.BytesIO(CSV))
    put(tmp_path / "weather.csv.gz", gzip.compress(CSV))
    zipped(tmp_path / "a.zip", {"weather.csv": CSV})
    put(tmp_path / "half.zip", (tmp_path / "a.zip").read_bytes()[:60])
    for name in ("a.tar", "weather.csv.gz", "a.zip", "half.zip"):
        with pytest.raises(InputError, match="is an archive: take the table out, and take that in with its own SHA256"):
            table(tmp_path / name)


def test_types_are_guessed_from_all_values_and_codes_stay_text(tmp_path: Path) -> None:
    file = put(
        tmp_path / "a.csv",
        "id,zip,share,day,at,good,iban\n1,01234,0.5,2024-02-29,2024-01-01T10:00:00+02:00,TRUE,123456789012345678901\n"
        "2,1234,NA,2024-03-01,2024-01-01 10:00,false,1\n",
    )
    parsed = table(file)
    assert parsed.frame.schema == {
        "id": pl.Int64(),
        "zip": pl.String(),
        "share": pl.Float64(),
        "day": pl.Date(),
        "at": pl.Datetime("us", "UTC"),
        "good": pl.Boolean(),
        "iban": pl.String(),
    }
    assert parsed.frame["at"].to_list() == [datetime(2024, 1, 1, 8, tzinfo=UTC), datetime(2024, 1, 1, 10, tzinfo=UTC)]
    assert parsed.frame["zip"].to_list() == ["01234", "1234"]
    assert parsed.guesses == {"at": "the file names no time zone: is it UTC?"}


@pytest.mark.parametrize(
    ("content", "line", "encoding"),
    [
        ("a,b\n1,2\ngröße,2\n".encode("latin-1"), 3, "LATIN1"),
        (b"a,b\n" + b"1,2\n" * 40_000 + "größe,2\n".encode("latin-1"), 40_002, "LATIN1"),
        ("a,b\n1,2\n".encode("utf-16"), 1, "UTF-16"),
    ],
)
def test_text_of_another_encoding_names_the_line_and_a_command_that_mends_it(
    tmp_path: Path, content: bytes, line: int, encoding: str
) -> None:
    file = put(tmp_path / "a.csv", content)
    with pytest.raises(InputError, match=f"not UTF-8, from line {line:,} on") as refused:
        table(file)
    command = str(refused.value).split("`")[1]
    assert encoding in command
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)  # noqa: S602  as a person would paste it
    assert table(tmp_path / "utf8-a.csv").frame.columns == ["a", "b"]


def test_blank_lines_are_no_rows_and_are_counted(tmp_path: Path) -> None:
    parsed = table(put(tmp_path / "a.csv", "id,b\n1,x\n\n2,y\n,\n3,z\n\n"))
    assert parsed.frame["id"].to_list() == [1, 2, 3]
    assert parsed.notes == ("3 blank lines were left out",)
    assert drafted(parsed)[1].primary_key == ("id",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n1,2\n1,2,3\n", "3 cells in line 3, and 2 in its first line"),
        ("a,b\n1,2\n1\n", "1 cells in line 3, and 2 in its first line"),
        ('a,b\n1,2\n3,"4" wide\n', "line 3: .*a quote inside a text is written twice"),
        ('a,b\n1,2\n3,"4\n5,6\n', "line 4: unexpected end of data"),
    ],
)
def test_a_line_that_is_not_as_the_others_is_named(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        table(put(tmp_path / "a.csv", content))


def test_a_first_line_that_excel_wrote_names_the_delimiter(tmp_path: Path) -> None:
    assert table(put(tmp_path / "a.csv", "sep=;\na;b\n1;2\n")).frame.rows() == [(1, 2)]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["1.5"] * 1999 + ["twelve"], "1 of 2,000 values is no number, the first 'twelve' in row 2,000"),
        (["1,5", "1.234,50", "3,25"], "numbers with a decimal comma"),
        (["1,234", "12,345,678"], "numbers with commas between thousands"),
        (["12%", "7.5 %"], "shares with a percent sign"),
        (["31.12.2024", "01.01.2025"], "dates written as day.month.year"),
        (["12/31/2024", "01/02/2025"], "dates with slashes"),
        (
            ["71.885 km"] * 4 + ["k.A."],
            "values that begin with a digit, as numbers with units and dates do, the first '71.885 km'",
        ),
        (["2024-01-01"] * 30 + ["soon"], "1 of 31 values is no date, the first 'soon' in row 31"),
        (
            ["north", "NA", "south"],
            "1 of 3 rows holds a word that may mean missing and is kept, the first 'NA' in row 2",
        ),
    ],
)
def test_a_column_that_almost_has_a_type_says_why_it_stays_text(tmp_path: Path, values: list[str], words: str) -> None:
    parsed = table(put(tmp_path / "a.csv", "key;x\n" + "".join(f"{at};{one}\n" for at, one in enumerate(values))))
    (note,) = parsed.notes
    assert note.startswith("column 'x' stays text: ")
    assert words in note
    text, contract = drafted(parsed)
    assert "# guess: " + note.removeprefix("column 'x' stays text: ").partition(", the first")[0] in text
    validate(parsed.frame, contract)


def test_a_value_that_is_personal_is_not_shown_when_a_column_stays_text(tmp_path: Path) -> None:
    values = ["1"] * 30 + ["anna@example.org"]
    parsed = table(put(tmp_path / "a.csv", "key;x\n" + "".join(f"{at};{one}\n" for at, one in enumerate(values))))
    assert parsed.notes == ("column 'x' stays text: 1 of 31 values is no number",)


def test_parquet_comes_in_with_its_own_types(tmp_path: Path) -> None:
    frame = pl.DataFrame({"n": pl.Series([1, 2], dtype=pl.Int8), "day": [date(2024, 1, 1)] * 2, "c": ["x", "y"]})
    frame.with_columns(pl.col("c").cast(pl.Categorical)).write_parquet(tmp_path / "a.parquet")
    found = table(tmp_path / "a.parquet").frame
    assert found.schema == {"n": pl.Int64(), "day": pl.Date(), "c": pl.String()}


def test_a_column_of_lists_is_named(tmp_path: Path) -> None:
    pl.DataFrame({"a": [[1, 2]]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="column 'a' is List"):
        table(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,a\n1,2\n", "two columns 'a'"),
        ("a,\n1,2\n", "a column without a name"),
        ("a,^b.*$\n1,2\n", "would be taken for a pattern of names"),
        ("a,*\n1,2\n", r"has a column '\*', which would be taken for a pattern of names"),
        ("a,b\n", "has no rows"),
        ('{"a": 1}\n{"a": 2}\n', "JSON: write its table as CSV or Parquet"),
        (b"PAR1 but no more", "cannot be read"),
    ],
)
def test_a_damaged_table_ends_in_one_line(tmp_path: Path, content: bytes | str, words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        table(put(tmp_path / "a.csv", content))
    assert "\n" not in str(refused.value)


def test_the_draft_marks_its_guesses_and_holds_the_data(tmp_path: Path) -> None:
    rows = "".join(f"{number},{'JFK' if number % 2 else 'LGA'},{number * 0.37}\n" for number in range(1, 101))
    parsed = table(put(tmp_path / "a.csv", f"id,station,temp\n{rows}"))
    text, contract = drafted(parsed)
    validate(parsed.frame, contract)
    assert contract.primary_key == ("id",)
    assert contract.column("station").allowed == ("JFK", "LGA")
    assert (contract.column("temp").minimum, contract.column("temp").maximum) == (0, 40)
    assert contract.column("id").maximum is None, "ids go on counting"
    assert "primaryKey: true # guess" in text
    assert (contract.properties["sourceLicense"], contract.properties["sourceSha256"]) == ("CC0-1.0", "0" * 64)


def test_two_columns_that_name_a_row_only_together_are_the_key(tmp_path: Path) -> None:
    rows = "".join(f"{station},2024-01-{day:02},1.5\n" for station in ("JFK", "LGA") for day in range(1, 10))
    _, contract = drafted(table(put(tmp_path / "a.csv", f"station,day,temp\n{rows}")))
    assert contract.primary_key == ("station", "day")


def test_personal_data_is_found_and_no_value_of_it_stands_in_the_draft(tmp_path: Path) -> None:
    head = "mail,card,iban,phone,mobile,ip,word\n"
    row = (
        "ann@example.org,4111111111111111,DE89 3704 0044 0532 0130 00,+49 30 12345678,+491761234567,192.168.7.9,hello\n"
    )
    parsed = table(put(tmp_path / "a.csv", head + row * 50))
    text, contract = drafted(parsed)
    validate(parsed.frame, contract)
    personal = [column.name for column in contract.columns if column.classification == "personal"]
    assert personal == ["mail", "card", "iban", "phone", "mobile", "ip"]
    assert not [value for value in row.strip().split(",")[:-1] if value in text]


@pytest.mark.parametrize("name", ["count", "value", "at", "text", "null", "yes", "a: b # c", "1"])
def test_a_column_may_have_any_name(tmp_path: Path, name: str) -> None:
    rows = "x,2024-01-01T10:00\n" * 30
    parsed = table(put(tmp_path / "a.csv", f"{name},{name} 2\n{rows}"))
    _, contract = drafted(parsed)
    validate(parsed.frame, contract)
    assert contract.column_names == [name, f"{name} 2"]
    assert contract.column(name).allowed == ("x",)


def test_a_value_of_few_rows_is_not_named_in_the_draft(tmp_path: Path) -> None:
    text, _ = drafted(table(put(tmp_path / "a.csv", "a,b\n" + "x,1\n" * 50 + "Ann Miller,2\n")))
    assert "Ann Miller" not in text


@pytest.mark.parametrize(
    ("value", "low", "high"), [(4983, 4000, 5000), (17, 10, 20), (-17, -20, -10), (0.3, 0, 1), (7, 7, 7)]
)
def test_limits_are_rounded_away_from_the_values(value: float, low: float, high: float) -> None:
    assert (outwards(value, up=False), outwards(value, up=True)) == (low, high)


@pytest.mark.parametrize("name", ["**", "a*", "^", "$", "^a", "a$", "*.*"])
def test_a_name_that_only_resembles_a_pattern_is_a_name(tmp_path: Path, name: str) -> None:
    parsed = table(put(tmp_path / "a.csv", f"{name},other\nx,1\n"))
    _, contract = drafted(parsed)
    validate(parsed.frame, contract)
    assert contract.column_names == [name, "other"]


@settings(max_examples=60, deadline=None)
@example([(0, None, None, datetime(2000, 1, 1, tzinfo=UTC))], ["0", "-1e5", "00", "0E0"])
@given(
    st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1),
            st.none() | st.floats(),
            st.none() | st.text(st.characters(exclude_categories=["Cs"])),
            st.datetimes(timezones=st.just(UTC)),
        ),
        min_size=1,
        max_size=30,
    ),
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
            lambda name: name.strip() and not is_pattern(name)
        ),
        min_size=4,
        max_size=4,
        unique=True,
    ),
)
def test_whatever_the_table_its_draft_loads_and_holds_it(rows: list[tuple[object, ...]], names: list[str]) -> None:
    kinds = [pl.Int64(), pl.Float64(), pl.String(), pl.Datetime("us", "UTC")]
    frame = pl.DataFrame(rows, schema=dict(zip(names, kinds, strict=True)), orient="row")
    parsed = Parsed(frame.with_columns(pl.col(names[1]).fill_nan(None)), {})
    _, contract = drafted(parsed)
    validate(parsed.frame, contract)
    assert contract.column_names == names
