"""What a server is told when it starts: by its command line, or in a container by environment variables."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, get_type_hints

import msgspec
from msgspec import Meta

from onebutton_serving.sealed import ServingError

PREFIX = "ONEBUTTON_"


class Settings(msgspec.Struct, frozen=True):
    """How one server runs; each is an option of the command line, and an environment variable."""

    store: Annotated[str, Meta(description="where releases are: a folder, s3://bucket/folder, gs:// or az://")] = ""
    pipeline: Annotated[str, Meta(description="whose model; may be left out with --release")] = ""
    release: Annotated[str, Meta(description="the folder of one release, served instead of what a store says")] = ""
    host: Annotated[str, Meta(description="address to listen on (127.0.0.1)")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="port to listen on (8000)")] = 8000
    workers: Annotated[int, Meta(ge=1, description="processes (1)")] = 1
    state: Annotated[str, Meta(description="folder of this server alone, for its log (.serving/PIPELINE/PORT)")] = ""
    keep_mb: Annotated[int, Meta(ge=0, description="megabytes of the log, the oldest go first (0: no limit)")] = 0

    @property
    def served(self) -> str:
        """What will be in service, in a word."""
        return self.pipeline or Path(self.release).name

    @property
    def folder(self) -> Path:
        """The state folder."""
        return Path(self.state or Path(".serving", self.served, str(self.port))).absolute()


def read_settings(words: Sequence[str]) -> Settings:
    """Read the command line; what it leaves out, environment variables say; empty ones count as left out.

    Raises:
        ServingError: something is wrong or missing.
    """
    parser = argparse.ArgumentParser(
        prog="python -m onebutton_serving",
        description="Serve the release that is deployed in a release store, and change with it; or one fixed release.",
        epilog="Each option can be an environment variable instead: ONEBUTTON_STORE, ONEBUTTON_PORT and so on.",
    )
    for name, kind in get_type_hints(Settings, include_extras=True).items():
        said = os.environ.get(PREFIX + name.upper()) or argparse.SUPPRESS
        parser.add_argument(f"--{name.replace('_', '-')}", default=said, help=kind.__metadata__[0].description)
    try:
        settings = msgspec.convert(vars(parser.parse_args(words)), Settings, strict=False)
    except msgspec.ValidationError as error:
        words, _, name = str(error).removesuffix("`").partition(" - at `$.")
        raise ServingError(f"--{name.replace('_', '-')} ({PREFIX}{name.upper()}): {words}") from None
    if bool(settings.store) == bool(settings.release):
        raise ServingError("say either --store, where releases are, or --release, one release to serve")
    if settings.store and (not settings.pipeline or Path(settings.pipeline).name != settings.pipeline):
        raise ServingError("say whose model: --pipeline with a name that is a folder of the release store")
    return settings
