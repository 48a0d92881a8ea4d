"""Prompts as files, answers as a data set, and what is said of them; a model is asked for real over HTTP."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import InputError
from onebutton_contracts.tables import write_parquet
from onebutton_contracts.validation import validate
from onebutton_evaluation.declarations import load_declarations
from onebutton_evaluation.holdout import read_holdout
from onebutton_evaluation.pages import render_file
from prompt_quality import answer, ask, model
from prompt_quality.evaluate import LEXICON, lexicon_labels, put_together, spent, tell
from prompt_quality.ingest import describe, read_sample
from prompt_quality.model import EMBEDDED, LABELS, endpoint, label_of
from prompt_quality.params import AnswerParams, Params
from prompt_quality.prompts import PARAPHRASED, about, champion, read_prompt, read_prompts

PIPELINE = Path(__file__).parents[1]
PARAMS = Params.load(PIPELINE / "params.yaml")
SAID = load_declarations(PIPELINE / "gates.toml")
KEY = "sk-" + "never-to-be-seen"


@pytest.fixture(scope="module")
def sentences() -> pl.DataFrame:
    rows = read_sample(PIPELINE / "sample")
    return describe(rows, PARAMS.sentences)


def test_the_sentences_keep_their_contract_and_are_those_that_judge(sentences: pl.DataFrame) -> None:
    validate(sentences, load_contract(PIPELINE / "contracts/sentences.odcs.yaml"))
    promised = load_contract(PIPELINE / "contracts/predictions.odcs.yaml")
    found = read_holdout(sentences, promised.primary_key, SAID.judging.answer)
    assert found.digest == promised.properties["holdoutSha256"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Say what {sentence} is.\n", r"short\.prompt\.md, line 1: \{sentence\} stands for nothing"),
        ("Say what it is.\n", r"line 1: \{text\} must stand in it once"),
        ("---\nwhy: a\n---\nFirst.\n{text} {mood}\n", r"line 5: \{mood\} stands for nothing"),
        ("---\nowner: me\n---\n{text}\n", r"line 2: between the lines --- only `why:` may stand"),
        ("{text} {text}\n", r"\{text\} must stand in it once"),
        ("---\nwhy: it never ends\n{text}\n", r"line 1: the front matter has no second line ---"),
    ],
)
def test_a_prompt_that_cannot_be_asked_is_refused_with_the_line(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "short.prompt.md"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        read_prompt(file)


def test_what_stands_in_a_sentence_is_no_placeholder() -> None:
    prompt = read_prompt(PIPELINE / "prompts/plain.prompt.md")
    assert "{mood} of {text}" in about(prompt, "{mood} of {text}")


def test_a_colon_in_the_front_matter_is_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "short.prompt.md"
    file.write_text("---\nwhy: short: fewer words\n---\n{text}\n", encoding="utf-8")
    assert read_prompt(file) == "{text}"


def test_the_champion_is_one_line_in_one_file(tmp_path: Path) -> None:
    prompts = read_prompts(PIPELINE / "prompts")
    assert champion(prompts, PIPELINE / "champion/champion.txt") in prompts
    with pytest.raises(InputError, match=r"names the prompt '', which is not there\. It can be: examples, plain"):
        champion(prompts, tmp_path / "none")


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("positive", "positive"),
        (" Negative.", "negative"),
        ("**Neutral**", "neutral"),
        ("happy", ""),
        ("", ""),
        ("I think positive", ""),
    ],
)
def test_an_answer_is_a_label_or_none(said: str, label: str) -> None:
    assert label_of(said) == label


Behave = Callable[[int], tuple[int, bytes]]


def said(text: str) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
    return json.dumps(
        {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    ).encode()


class Server:
    """A server that speaks OpenAI's protocol, and does to the nth request what a test wants."""

    def __init__(self, behave: Behave) -> None:
        self.asked: list[Any] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                status, body = behave(len(server.asked))
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Behave], Server]]:
    started: list[Server] = []

    def serve(behave: Behave) -> Server:
        started.append(Server(behave))
        monkeypatch.setenv("OPENAI_BASE_URL", started[-1].address)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        return started[-1]

    yield serve
    for one in started:
        one.http.shutdown()
        one.http.server_close()


def params(**changed: Any) -> AnswerParams:
    return PARAMS.answer.model_copy(update={"model": "m", "retries": 1, "timeout_seconds": 5.0} | changed)


def test_a_busy_server_is_asked_again_and_answers(serve: Callable[[Behave], Server]) -> None:
    server = serve(lambda nth: (429, b"{}") if nth == 1 else (200, said("positive")))
    reply = endpoint(params())("how?")
    assert (reply["answer"], reply["tokens"], reply["error"]) == ("positive", 10, "")
    assert len(server.asked) == 2
    assert server.asked[-1]["messages"] == [{"role": "user", "content": "how?"}]


@pytest.mark.parametrize("body", [(500, b"{}"), (200, b'{"choices"'), (200, b"<html>"), (200, b"{}"), (429, b"{}")])
def test_what_fails_for_good_is_an_error_and_never_an_answer(
    serve: Callable[[Behave], Server], body: tuple[int, bytes]
) -> None:
    serve(lambda _: body)
    reply = endpoint(params())("how?")
    assert reply["answer"] == ""
    assert reply["error"]
    assert KEY not in reply["error"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sentences: pl.DataFrame) -> Path:
    """The pipeline's folder before its stage `answer`, with 30 sentences, three of them in other words, too, and nothing recorded."""
    (tmp_path / "prompts").symlink_to(PIPELINE / "prompts")
    (tmp_path / "data").mkdir()
    text = (PIPELINE / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text.replace("model: SmolLM2-135M-Instruct", "model: m"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(answer, "read_parquet", lambda *_, **__: sentences.head(30))
    return tmp_path


def test_nothing_is_asked_twice_and_a_run_that_was_cut_off_goes_on(
    folder: Path, serve: Callable[[Behave], Server], capsys: pytest.CaptureFixture[str]
) -> None:
    def dies(nth: int) -> tuple[int, bytes]:
        return (200, said("positive"))

    server = serve(dies)
    whole, written = answer.ask_all, []

    def cut_off(*words: Any) -> Iterator[list[Any]]:
        for row in whole(*words):
            written.append(row[0])
            yield row
            if len(written) in {17, 34}:
                raise KeyboardInterrupt

    for _ in range(2):  # twice, as the second must not stumble over what the first left
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(answer, "ask_all", cut_off)
            with pytest.raises(KeyboardInterrupt):
                answer.main()
        with (folder / "data/answers.jsonl").open("a", encoding="utf-8") as journal:
            journal.write('["half a li')  # as a machine leaves it that lost power
    before = len(server.asked)
    answer.main()
    found = pl.read_parquet(folder / "data/answers.parquet")
    assert found.height == 66
    assert set(written) <= set(found["key"])
    assert len(server.asked) - before <= 66 - 34
    asked = len(server.asked)
    answer.main()  # and once more
    assert len(server.asked) == asked
    assert KEY not in capsys.readouterr().out
    assert all(KEY.encode() not in file.read_bytes() for file in (folder / "data").iterdir())


@pytest.mark.slow
def test_killed_at_twenty_moments_nothing_is_asked_twice_and_nothing_is_lost(
    folder: Path, serve: Callable[[Behave], Server], sentences: pl.DataFrame
) -> None:
    (folder / "recorded").mkdir()
    contract = load_contract(PIPELINE / "contracts/sentences.odcs.yaml")
    write_parquet(sentences, folder / "data/sentences.parquet", contract)

    def takes_a_while(nth: int) -> tuple[int, bytes]:
        time.sleep(0.02)
        return 200, said("positive")

    server, journal = serve(takes_a_while), folder / "data/answers.jsonl"
    asks = Params.load(folder / "params.yaml").answer
    wanted = answer.questions(read_prompts(PIPELINE / "prompts"), sentences, asks)
    kept: list[int] = []
    for moment in range(1, 21):
        stage = subprocess.Popen([sys.executable, "-m", "prompt_quality.answer"], cwd=folder, stdout=subprocess.DEVNULL)
        while len(server.asked) < moment * wanted.height // 25 + moment % 3 and stage.poll() is None:
            time.sleep(0.003)
        stage.kill()
        stage.wait()
        lines = journal.read_text(encoding="utf-8").split("\n")[:-1] if journal.is_file() else []
        kept.append(len(lines))
        # what was on its way, or had just come, when the stage was killed is asked again: a few of hundreds
        assert len(server.asked) - len(lines) <= moment * 2 * asks.connections
    subprocess.run([sys.executable, "-m", "prompt_quality.answer"], cwd=folder, check=True)
    assert kept == sorted(kept)
    assert kept[-1] > wanted.height / 2
    found = pl.read_parquet(folder / "data/answers.parquet")
    assert sorted(found["key"]) == sorted(wanted["key"])
    written = [json.loads(line)[0] for line in journal.read_text(encoding="utf-8").splitlines()]
    assert len(written) == len(set(written)), "an answer that was written down was asked for again"


def test_only_what_another_prompt_asks_is_asked(folder: Path, serve: Callable[[Behave], Server]) -> None:
    server = serve(lambda _: (200, said("neutral")))
    answer.main()
    (folder / "prompts").unlink()
    (folder / "prompts").mkdir()
    for name in ("plain", "examples"):
        text = (PIPELINE / f"prompts/{name}.prompt.md").read_text(encoding="utf-8")
        (folder / f"prompts/{name}.prompt.md").write_text(text, encoding="utf-8")
    (folder / "prompts/short.prompt.md").write_text("{text} Mood:\n", encoding="utf-8")
    asked = len(server.asked)
    answer.main()
    assert len(server.asked) - asked == 33


def test_one_prompt_is_asked_about_one_text(
    folder: Path, serve: Callable[[Behave], Server], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(lambda _: (200, said("Positive!")))
    (folder / "champion").symlink_to(PIPELINE / "champion")
    monkeypatch.setattr("sys.argv", ["try", "--text=I love it"])
    ask.main()
    assert capsys.readouterr().out.startswith("positive  (plain, m, 10 tokens, ")
    assert "I love it" in server.asked[0]["messages"][0]["content"]
    monkeypatch.setattr("sys.argv", ["try", "--text=I love it", "--prompt=short"])
    with pytest.raises(InputError, match=r"there is no prompt 'short'\. PROMPT can be: examples, plain"):
        ask.main()


def test_a_model_elsewhere_without_a_key_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_ADMIN_KEY", raising=False)
    with pytest.raises(InputError, match="OPENAI_API_KEY is not set, and another is asked with it"):
        endpoint(params(model="another"))


def test_without_the_model_it_is_said_what_is_not_recorded_and_what_brings_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (folder / "params.yaml").read_text(encoding="utf-8")
    (folder / "params.yaml").write_text(text.replace("model: m ", f"model: {EMBEDDED} "), encoding="utf-8")
    monkeypatch.setattr(model, "INSTALLED", False)
    with pytest.raises(InputError, match=r"is not installed\. `make try TEXT=hello` brings it"):
        answer.main()
    assert "66 questions (examples, plain); 0 are answered already" in capsys.readouterr().out


def made_up(sentences: pl.DataFrame, right: dict[str, float]) -> pl.DataFrame:
    """Answers of prompts that are right as often as `right` says, the same sentences first."""
    frames = []
    for name, share in right.items():
        place = pl.int_range(pl.len()).shuffle(seed=7 if name == "alike" else 1) < share * pl.len()
        label = pl.when(place).then(pl.col("sentiment")).otherwise(pl.lit("no label"))
        columns: dict[str, Any] = {
            "prompt": pl.lit(name),
            "repetition": 0,
            "tokens": 60,
            "seconds": 0.1,
            "error": pl.lit(""),
        }
        frames.append(sentences.select("id", label=label).with_columns(**columns))
    return pl.concat(frames).with_columns(label=pl.col("label").replace("no label", ""))


def judged(sentences: pl.DataFrame, right: dict[str, float]) -> dict[str, str]:
    answers = made_up(sentences, right)
    frame = put_together(sentences, answers, SAID.judging, "examples")
    return {name: one["in_words"] for name, one in tell(frame, SAID, right, "plain").items()}


def test_what_is_said_of_a_prompt_is_better_worse_or_cannot_tell(sentences: pl.DataFrame) -> None:
    words = judged(sentences, {"plain": 0.5, "examples": 0.8, "worse": 0.3, "alike": 0.52})
    assert words["examples"].startswith("examples is better than plain by +30.")
    assert words["worse"].startswith("worse is worse than plain by -20.")
    assert words["alike"].startswith("alike beside plain: cannot tell")


def test_an_answer_that_is_no_label_is_a_wrong_answer(sentences: pl.DataFrame) -> None:
    frame = put_together(sentences, made_up(sentences, {"examples": 0.5}), SAID.judging, "examples")
    right = sum(frame.filter(sentiment=label)[f"examples[{label}]"].sum() for label in LABELS)
    assert right == sentences.height / 2
    found = spent(made_up(sentences, {"examples": 0.5}), 1.0)
    assert found["malformed"] == 0.5
    assert found["consistent"] == 1.0


def test_answers_to_the_same_in_other_words_are_held_against_each_other(sentences: pl.DataFrame) -> None:
    answers = made_up(sentences, {"plain": 1.0}).sort("id")
    other = answers.head(4).with_columns(pl.col("id") + PARAPHRASED)
    changed = other.with_columns(label=pl.when(pl.int_range(4) == 0).then(pl.lit("")).otherwise("label"))
    assert spent(pl.concat([answers, changed]), 1.0)["consistent_in_other_words"] == 0.75


def test_other_words_for_a_sentence_that_is_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "sentences.csv").write_text(
        "source,id,rating,text,ordered\nnews,news-1,0,Snow.,false\n", encoding="utf-8"
    )
    (tmp_path / "paraphrases.csv").write_text("id,text\nnews-2,It snows.\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"paraphrases\.csv: no sentence is called news-2"):
        read_sample(tmp_path)


def test_prompts_stand_side_by_side_on_a_page(sentences: pl.DataFrame) -> None:
    answers = made_up(sentences, {"plain": 0.5, "examples": 0.8})
    frame, prompts = put_together(sentences, answers, SAID.judging, "examples"), read_prompts(PIPELINE / "prompts")
    told, rows = tell(frame, SAID, prompts, "plain"), frame.to_dicts()
    page = PIPELINE / "src/prompt_quality/prompts.html.jinja"
    html = render_file(page, heading="Prompts", names=["plain", "examples"], prompts=prompts, told=told, rows=rows)
    assert html.count("<pre") == 2
    assert "with an order to the model" in html
    assert html.count('<td class="better">') == round(0.5 * 480) + round(0.8 * 480)
    assert html.index("✗&nbsp;no label") < html.index("</tbody>", html.index("Every sentence"))


def test_a_prompt_that_is_called_as_a_column_is_refused(sentences: pl.DataFrame) -> None:
    with pytest.raises(InputError, match="a prompt cannot be called words, as a column is"):
        put_together(sentences, made_up(sentences, {"words": 0.5}), SAID.judging, "words")


def test_two_prompts_of_one_text_are_asked_once(folder: Path, serve: Callable[[Behave], Server]) -> None:
    server = serve(lambda _: (200, said("neutral")))
    (folder / "prompts").unlink()
    (folder / "prompts").mkdir()
    for name in ("one", "other"):
        (folder / f"prompts/{name}.prompt.md").write_text("{text} Mood:\n", encoding="utf-8")
    answer.main()
    assert len(server.asked) == 33
    assert pl.read_parquet(folder / "data/answers.parquet")["prompt"].value_counts()["count"].to_list() == [33, 33]


def test_examples_show_what_each_prompt_gets_right_alone(sentences: pl.DataFrame) -> None:
    answers = made_up(sentences, {"plain": 0.5, "examples": 0.8})
    frame = put_together(sentences, answers, SAID.judging, "examples")
    found = tell(frame, SAID, ["examples", "plain"], "plain")["examples"]
    assert len(found["better"]) == 5
    assert found["worse"] == []
    assert all(one["examples"] == one["sentiment"] != one["plain"] for one in found["better"])


def test_the_lexicon_reads_what_its_authors_say_that_it_reads() -> None:
    assert lexicon_labels(pl.Series(["I love it!", "It is horrible.", "The door is open."])) == [
        "positive",
        "negative",
        "neutral",
    ]
    assert LEXICON not in read_prompts(PIPELINE / "prompts")


def test_every_recorded_answer_is_of_a_prompt_and_a_sentence_that_are_here(sentences: pl.DataFrame) -> None:
    recorded = pl.read_csv(PIPELINE / answer.RECORDED, schema=answer.SCHEMA)
    wanted = answer.questions(read_prompts(PIPELINE / "prompts"), sentences, PARAMS.answer)
    assert set(wanted["key"]) == set(recorded["key"])
    assert recorded["model"].unique().to_list() == [PARAMS.answer.model]
