"""The servers of an environment: whose each is, what it says of itself, and whether all of them took a release."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from onebutton_serving.identity import Identity, read_identity

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
        foreign: what answers there instead of a server of ours, such as `serves pipeline churn from ANOTHER FOLDER`.
    """

    address: str
    versions: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    silent: str = ""
    foreign: str = ""

    @property
    def off(self) -> bool:
        """Whether nobody listens there."""
        return "refused" in self.silent

    def has(self, version: str) -> bool:
        """Whether every process has this release in service; an empty version stands for none."""
        return bool(self.versions) and set(self.versions) == {version}


def ask(address: str, ours: Identity) -> Report:
    """Ask a server whose it is, and which release each of its processes has in service."""
    try:
        with urlopen(f"{address}/v1/model", timeout=PATIENCE) as answer:  # noqa: S310  the address is the environment's own
            return _report(address, json.load(answer), ours)
    except HTTPError as error:
        error.close()  # it holds the connection
        if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:  # a proxy before a server that is off
            return Report(address, silent=f"it answers {error.code}")
        return Report(address, foreign=f"is no model server: it answers {error.code}")
    except (OSError, http.client.IncompleteRead) as error:
        return Report(address, silent=str(getattr(error, "reason", error)) or type(error).__name__)
    except (http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError):
        return Report(address, foreign="is no model server: it answers something else")


def _report(address: str, answer: Any, ours: Identity) -> Report:
    found = read_identity(answer)
    if found is None:
        return Report(address, foreign=f"serves one fixed release of {answer['pipeline']} and follows no history")
    if foreign := found.instead_of(ours):
        return Report(address, foreign=foreign)
    workers: list[dict[str, Any]] = answer["workers"]
    versions = tuple(worker["version"] or "" for worker in workers)
    refused = {one["refused"]["version"]: one["refused"]["why"] for one in workers if one["refused"]}
    return Report(address, versions, refused)


def wait(addresses: Sequence[str], ours: Identity, version: str, seconds: float) -> list[Report]:
    """Ask until every server has a release in service, one refuses it or is not ours, or time is up.

    Returns:
        The last report of each.
    """
    end = time.monotonic() + seconds
    while True:
        reports = [ask(address, ours) for address in addresses]
        # a server that does not answer may do so in a moment, unless it is off
        done = (one.has(version) or one.refused.get(version) or one.off or one.foreign for one in reports)
        if all(done) or time.monotonic() >= end:
            return reports
        time.sleep(ASK_AGAIN)
