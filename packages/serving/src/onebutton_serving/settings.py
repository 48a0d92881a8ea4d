"""What a server is told when it starts: by its command line, or in a container by environment variables."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from onebutton_serving.errors import ServingError

PREFIX = "ONEBUTTON_"


class SettingsError(ServingError):
    """A setting is wrong or missing; the message says which and what would do."""


def _option(default: str | int, words: str, least: int = 0, most: int = 10**9) -> Any:
    return field(default=default, metadata={"help": words, "least": least, "most": most})


@dataclass(frozen=True)
class Settings:
    """How one server runs; each is an option of the command line, and an environment variable."""

    store: str = _option("", "where releases are: a folder, s3://bucket/folder, gs:// or az://")
    pipeline: str = _option("", "whose model; may be left out with --release")
    release: str = _option("", "the folder of one release, which is served instead of what a store says")
    host: str = _option("127.0.0.1", "address to listen on (%(default)s)")
    port: int = _option(8000, "%(default)s", 1, 65535)
    workers: int = _option(1, "processes (%(default)s)", 1)
    state: str = _option("", "folder of this server alone, for its log of predictions (.serving/PIPELINE/PORT)")
    keep_days: int = _option(0, "days that segments of the log are kept (0, which keeps them all)")
    keep_mb: int = _option(0, "megabytes that the log may have, the oldest go first (0, which is no limit)")

    @property
    def folder(self) -> Path:
        """The state folder."""
        served = self.pipeline or Path(self.release).name
        return Path(self.state or Path(".serving", served, str(self.port))).absolute()

    @property
    def address(self) -> str:
        """Where the server is found: `http://127.0.0.1:8000`."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def read_settings(words: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the command line; what it leaves out, environment variables say; empty ones count as left out.

    Raises:
        SettingsError: something is wrong or missing.
    """
    parser = argparse.ArgumentParser(
        prog="python -m onebutton_serving",
        description="Serve the release that is deployed in a release store, and change with it; or one fixed release.",
        epilog="Each option can be an environment variable instead: ONEBUTTON_STORE, ONEBUTTON_PORT and so on.",
    )
    for one in fields(Settings):
        default = environment.get(PREFIX + one.name.upper()) or str(one.default)
        parser.add_argument(f"--{one.name.replace('_', '-')}", default=default, help=one.metadata["help"])
    said: dict[str, Any] = vars(parser.parse_args(words))
    for one in fields(Settings):
        if isinstance(one.default, int):
            said[one.name] = _number(one.name, one.metadata["least"], one.metadata["most"], said[one.name])
    settings = Settings(**said)
    if bool(settings.store) == bool(settings.release):
        message = "say either --store, where releases are, or --release, one release to serve"
        raise SettingsError(message)
    if settings.store and (not settings.pipeline or Path(settings.pipeline).name != settings.pipeline):
        message = "say whose model: --pipeline with a name that is a folder of the release store"
        raise SettingsError(message)
    return settings


def _number(name: str, least: int, most: int, text: str) -> int:
    if text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    option = f"--{name.replace('_', '-')} ({PREFIX}{name.upper()})"
    message = f"{option} must be a whole number, {least} to {most}; it is {text}"
    raise SettingsError(message)
