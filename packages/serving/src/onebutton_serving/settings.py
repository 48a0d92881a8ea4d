"""What a server is told when it starts: by its command line, or in a container by environment variables."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from onebutton_serving.errors import ServingError

PREFIX = "ONEBUTTON_"


class SettingsError(ServingError):
    """A setting is wrong or missing; the message says which and what would do."""


@dataclass(frozen=True)
class Settings:
    """How one server runs.

    Attributes:
        store: where releases and the pointer are, `s3://bucket/folder` or a folder; empty with a fixed release.
        pipeline: whose model; may be left out with a fixed release.
        release: the folder of one release to serve, which never changes; empty with a release store.
        state: a folder of this server alone: its log of predictions, metrics, what its workers say of themselves.
        keep_days: how long segments of the log stay; 0 keeps all.
        keep_mb: megabytes that the log may have, the oldest segments go first; 0 sets no limit.
        server: the process that started the workers; 0 in that process itself.
    """

    store: str = ""
    pipeline: str = ""
    release: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    state: str = ""
    keep_days: int = 0
    keep_mb: int = 0
    server: int = 0

    def variables(self) -> dict[str, str]:
        """Write the settings as environment variables, which is how workers get them."""
        return {PREFIX + field.name.upper(): str(getattr(self, field.name)) for field in fields(self)}


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read environment variables; empty ones count as left out.

    Raises:
        SettingsError: a number is none.
    """
    said = {field.name: environment.get(PREFIX + field.name.upper(), "") for field in fields(Settings)}
    found: dict[str, str | int] = {name: text for name, text in said.items() if text}
    for name in ("port", "workers", "keep_days", "keep_mb", "server"):
        if name in found:
            text = said[name]
            if not text.isascii() or not text.isdigit():
                message = f"{PREFIX}{name.upper()}={text} is no number"
                raise SettingsError(message)
            found[name] = int(text)
    return Settings(**found)  # type: ignore[arg-type]


def from_command_line(words: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the command line; what it leaves out, environment variables say.

    Raises:
        SettingsError: something is wrong or missing.
    """
    default = from_environment(environment)
    parser = argparse.ArgumentParser(
        prog="python -m onebutton_serving",
        description="Serve the release that a release store's pointer names, and change with it; or one fixed release.",
        epilog="Each option can be an environment variable instead: ONEBUTTON_STORE, ONEBUTTON_PORT and so on.",
    )
    parser.add_argument("--store", default=default.store, help="s3://bucket/folder, or a folder")
    parser.add_argument("--pipeline", default=default.pipeline, help="whose model")
    parser.add_argument(
        "--release", default=default.release, help="the folder of one release, instead of a release store"
    )
    parser.add_argument("--host", default=default.host, help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=default.port, help="%(default)s")
    parser.add_argument("--workers", type=int, default=default.workers, help="processes (%(default)s)")
    parser.add_argument(
        "--state", default=default.state, help="folder of the log of predictions, and what workers share"
    )
    parser.add_argument(
        "--keep-days", type=int, default=default.keep_days, help="days that the log is kept (0, which keeps it all)"
    )
    parser.add_argument(
        "--keep-mb", type=int, default=default.keep_mb, help="megabytes that the log may have (0, which is no limit)"
    )
    settings = Settings(**vars(parser.parse_args(words)))
    return _checked(settings)


def _checked(settings: Settings) -> Settings:
    if bool(settings.store) == bool(settings.release):
        message = "say either --store, where the pointer is, or --release, one release to serve"
        raise SettingsError(message)
    if settings.store and (not settings.pipeline or Path(settings.pipeline).name != settings.pipeline):
        message = "say whose model: --pipeline with a name that is a folder of the release store"
        raise SettingsError(message)
    if not 0 < settings.port < 65536:  # noqa: PLR2004  the largest number of a port
        message = f"--port {settings.port} is no number of a port"
        raise SettingsError(message)
    if settings.workers < 1:
        message = f"--workers {settings.workers}: at least one is needed"
        raise SettingsError(message)
    if settings.keep_days < 0:
        message = f"--keep-days {settings.keep_days}: 0 keeps all of the log, more keeps it so many days"
        raise SettingsError(message)
    if settings.keep_mb < 0:
        message = f"--keep-mb {settings.keep_mb}: 0 sets the log no limit, more is its size in megabytes"
        raise SettingsError(message)
    return settings
