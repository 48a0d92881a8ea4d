"""Tell the owner of a release, through apprise: each alarm once, and when it is over.

What was told is the one thing that is remembered. It is written after it was sent: a monitor that is killed in between tells
again, and never keeps silent.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_evaluation.judgement import write_text
from onebutton_monitoring.alarms import Alarm

URLS = "ONEBUTTON_ALARM_URLS"  # as https://github.com/caronc/apprise/wiki writes them, with spaces between


def tell(
    name: str, standing: Sequence[Alarm], details: dict[str, list[str]], footer: Sequence[str], state: Path
) -> str:
    """Send what is new and what is over since the last time, with details by alarm; say in words what was done.

    Raises:
        InputError: it could not be sent; the next press tries again.
    """
    memory = state / "told.json"
    told: dict[str, str] = json.loads(memory.read_text(encoding="utf-8")) if memory.is_file() else {}
    new = [alarm for alarm in standing if alarm.name not in told]
    over = [one for one in told if one not in {alarm.name for alarm in standing}]
    if not new and not over:
        return f"nothing new to tell: {len(told)} told before still stand" if told else "nothing to tell"
    lines = []
    for alarm in new:
        lines.append(f"{alarm.name}, since {alarm.since}: {alarm.words}")
        lines += [f"  {one}" for one in details.get(alarm.name, [])]
    lines += [f"over: {one} (told {told[one]})" for one in over]
    title = f"Over: {name}: {', '.join(over)}"
    if new:
        more = f" and {len(new) - 1} more" if new[1:] else ""
        title = f"ALARM {name}: {new[0].name}{more}, since {min(alarm.since for alarm in new)}"
    if not (urls := os.environ.get(URLS, "").split()):
        return f"nobody was told: {URLS} is not set. {title}"
    import apprise

    sender = apprise.Apprise()
    body = "\n".join([*lines, "", *footer])
    if not sender.add(urls) or not sender.notify(title=title, body=body, body_format="text"):
        raise InputError(
            f"an alarm could not be sent to all that {URLS} names, and is sent again at the next press: {title}"
        )
    kept = {alarm.name: told.get(alarm.name, str(alarm.seen)) for alarm in standing}
    write_text(memory, json.dumps(kept, indent=1) + "\n")
    return f"told {len(urls)} address{'es' if urls[1:] else ''}: {title}"
