"""The servers of an environment: what each says of itself, and whether all of them took a release."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

PATIENCE = 2.0  # seconds for one answer
ASK_AGAIN = 0.05  # seconds between two questions


@dataclass(frozen=True)
class Report:
    """What one server says.

    Attributes:
        address: of the server.
        versions: in service, one for each of its processes; empty when it does not answer or has none.
        refused: why a process did not take a release, by that release's version.
        silent: why there is no answer; empty when there is one.
    """

    address: str
    versions: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    silent: str = ""

    def has(self, version: str) -> bool:
        """Whether every process has this release in service."""
        return bool(self.versions) and set(self.versions) == {version}

    def refusal(self, version: str) -> str:
        """Say why a process refused this release; empty when none did."""
        return next((why for refused, why in self.refused if refused == version), "")


def ask(address: str) -> Report:
    """Ask a server which release each of its processes has in service."""
    try:
        with urlopen(f"{address}/v1/model", timeout=PATIENCE) as answer:  # noqa: S310  the address is the environment's own
            workers: list[dict[str, Any]] = json.load(answer)["workers"]
            versions = tuple(worker["version"] or "" for worker in workers)
            refused = tuple((one["refused"]["version"], one["refused"]["why"]) for one in workers if one["refused"])
            return Report(address, versions, refused)
    except HTTPError as error:
        error.close()  # it holds the connection
        return Report(address, silent=f"it answers {error.code}")
    except URLError as error:
        return Report(address, silent=str(getattr(error, "reason", error)))
    except (OSError, http.client.HTTPException) as error:
        return Report(address, silent=str(error) or type(error).__name__)
    except (ValueError, KeyError, TypeError) as error:
        return Report(address, silent=f"what answers there is no server of ours ({error!r})")


def wait(addresses: Sequence[str], version: str, seconds: float) -> list[Report]:
    """Ask until every server has a release in service, one refuses it, or time is up.

    Returns:
        The last report of each.
    """
    until = time.monotonic() + seconds
    while True:
        reports = [ask(address) for address in addresses]
        done = all(report.has(version) or report.refusal(version) or report.silent for report in reports)
        if time.monotonic() >= until or (done and not _may_come(reports)):
            return reports
        time.sleep(ASK_AGAIN)


def _may_come(reports: Sequence[Report]) -> bool:
    """Whether a server that does not answer may do so in a moment: one that refused the connection is not running."""
    return any(report.silent and "refused" not in report.silent for report in reports)
