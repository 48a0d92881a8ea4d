import email
import json
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.message import Message
from email.policy import default
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from onebutton_contracts.errors import InputError
from onebutton_monitoring.monitor import monitor
from onebutton_release.moves import rollback
from onebutton_release.target import find_target
from onebutton_serving.history import in_service

LABELS = "labels/*.parquet"
pytestmark = pytest.mark.filterwarnings(
    "ignore:'imghdr' is deprecated"
)  # one of apprise's services asks for it before 3.13


class Box:
    """Keeps the mails that come."""

    def __init__(self) -> None:
        self.mails: list[Message] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  aiosmtpd's name
        self.mails.append(email.message_from_bytes(envelope.content, policy=default))
        return "250 OK"


@pytest.fixture
def post(free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Message]]:
    """A mail server, to which alarms go."""
    box, port = Box(), free_port()
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    monkeypatch.setenv(
        "ONEBUTTON_ALARM_URLS", f"mailto://127.0.0.1:{port}?to=ann@acme.example&from=monitor@acme.example&mode=insecure"
    )
    yield box.mails
    server.stop()


def text(mail: Message) -> str:
    """The words of a mail."""
    found: str = mail.get_body(("plain", "html")).get_content()  # type: ignore[attr-defined]
    return found


def harmful(world: Any) -> None:
    """Log four quiet weeks, then two in which a town does harm."""
    world.write(world.rows(28, 70))
    world.write(world.rows(14, 98, worse=1.5))


def press(world: Any, day: int) -> int:
    return monitor(world.root, "shops", "local", LABELS, world.at(day))


def test_a_mail_says_what_and_who_and_the_line_in_it_rolls_back(world: Any, post: list[Message]) -> None:
    world.deploy("20260602-bbbbbbbb")
    world.write(world.rows(28, 70), version="20260602-bbbbbbbb")
    world.write(world.rows(7, 98, worse=1.5), version="20260602-bbbbbbbb")
    assert press(world, 106) == 1
    (mail,) = post
    assert mail["subject"].startswith("ALARM shops in local: cost / all")
    assert str(world.day(98)) in mail["subject"]
    words = text(mail)
    assert "harm begins at 0.500" in words
    assert "On call: Ann, 0100" in words
    assert "https://example.com/acme/blob/main/docs/runbook.md" in words
    (line,) = [line.partition("make rollback ")[2] for line in words.splitlines() if "make rollback " in line]
    typed = dict(word.split("=", 1) for word in shlex.split(line))
    target = find_target(world.root, typed["PIPELINE"], typed["ENV"], "production")
    rollback(target, version="", why=typed["WHY"])
    move = in_service(target.store)
    assert move is not None
    assert move.after == world.version


def test_an_alarm_is_told_once_and_its_end_once(world: Any, post: list[Message]) -> None:
    harmful(world)
    assert [press(world, day) for day in (106, 107, 113)] == [1, 1, 1]
    assert len(post) == 1
    assert "make rollback" not in text(post[0])  # of a first release: there is none to go back to
    world.write(world.rows(14, 112))
    press(world, 127)
    press(world, 127)
    assert [mail["subject"] for mail in post[1:]] == [f"Over: shops in local: {name}" for name in told(post[0])]
    assert all("make rollback" not in text(mail) for mail in post[1:])


def told(mail: Message) -> list[str]:
    """The names of all alarms of a mail, as its end is titled."""
    lines = text(mail).splitlines()
    return [", ".join(line.partition(", since ")[0] for line in lines if line.startswith("cost / "))]


def test_a_webhook_gets_it_too_and_what_could_not_be_sent_is_sent_again(
    world: Any, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    port = free_port()
    monkeypatch.setenv("ONEBUTTON_ALARM_URLS", f"json://127.0.0.1:{port}/hook")
    harmful(world)
    with pytest.raises(InputError, match="an alarm could not be sent"):
        press(world, 106)
    server = HTTPServer(("127.0.0.1", port), Hook)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    assert [press(world, 106), press(world, 106)] == [1, 1]
    server.shutdown()
    server.server_close()
    assert len(got) == 1
    assert "On call: Ann, 0100" in got[0]["message"]
    assert got[0]["type"] == "failure"


def test_without_addresses_it_says_that_nobody_was_told(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    harmful(world)
    assert press(world, 106) == 1
    assert "nobody was told: ONEBUTTON_ALARM_URLS is not set" in capsys.readouterr().out


@pytest.mark.slow
def test_a_monitor_that_is_killed_counts_nothing_twice(world: Any, post: list[Message]) -> None:
    """Killed at 20 moments, it leaves every file as it was or as it will be, and in the end all is as if it had never been."""
    harmful(world)
    code = (
        "from datetime import datetime; from pathlib import Path; from onebutton_monitoring.monitor import monitor; "
        f"monitor(Path.cwd(), 'shops', 'local', '{LABELS}', datetime.fromisoformat('{world.at(106).isoformat()}'))"
    )
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", code], cwd=world.root, check=True, capture_output=True)
    took = time.monotonic() - begun
    state = world.root / ".monitoring/local/shops"
    files = {name: (state / name).read_bytes() for name in ("page.html", "monitor.prom", "told.json")}
    for moment in range(20):
        if moment % 2:
            (state / "told.json").unlink(missing_ok=True)
        doing = subprocess.Popen([sys.executable, "-c", code], cwd=world.root, stdout=subprocess.DEVNULL)
        time.sleep(took * (moment + 1) / 20)
        doing.send_signal(signal.SIGKILL)
        doing.wait()
        assert (state / "page.html").read_bytes() == files["page.html"]
        if (state / "told.json").is_file():
            assert json.loads((state / "told.json").read_bytes()) == json.loads(files["told.json"])
    subprocess.run([sys.executable, "-c", code], cwd=world.root, check=True, capture_output=True)
    assert {name: (state / name).read_bytes() for name in files} == files
    assert {mail["subject"] for mail in post} == {post[0]["subject"]}
