"""The servers of an environment: whose each is, what it says of itself, and whether all of them took a release."""

import http.client
import json
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

PATIENCE = 2.0  # seconds for one answer
ASK_AGAIN = 0.05  # seconds between two questions


class Report(NamedTuple):
    """What one server says."""

    address: str
    versions: tuple[str, ...] = ()  # in service, one for each of its processes; empty when it does not answer
    refused: Mapping[str, str] = MappingProxyType({})  # why a process did not take a release, by that release's version
    silent: str = ""  # why there is no answer
    foreign: str = ""  # what answers instead of a server of ours, such as `serves pipeline churn from ANOTHER FOLDER`

    @property
    def off(self) -> bool:
        """Whether nobody listens there."""
        return "refused" in self.silent

    def has(self, version: str) -> bool:
        """Whether every process has this release in service; an empty version stands for none."""
        return bool(self.versions) and set(self.versions) == {version}

    def words(self, version: str) -> str:
        """Say how the server stands with a release that it should have in service."""
        if self.foreign or self.silent:
            return self.foreign or f"does not answer ({self.silent})"
        if self.has(version):
            count = len(self.versions)
            return f"has {version or 'no release'} in service in {count} process{'es' if count > 1 else ''}"
        if why := self.refused.get(version):
            return f"stays on the old release: {why}"
        return f"did not take {version}: it has {', '.join(sorted(set(self.versions) - {''})) or 'none'}"


def ask(address: str, ours: Mapping[str, str]) -> Report:
    """Ask a server whose it is, and which release each of its processes has in service."""
    silent = foreign = ""
    try:
        with urlopen(f"{address}/v1/model", timeout=PATIENCE) as response:  # noqa: S310  the address is the environment's own
            answer = json.load(response)
        follows = answer["follows"]
        if follows is None:
            foreign = f"serves one fixed release of {answer['pipeline']} and follows no history"
        elif not (foreign := _instead(follows, ours)):
            versions = tuple(worker["version"] or "" for worker in answer["workers"])
            refused = [worker["refused"] for worker in answer["workers"] if worker["refused"]]
            return Report(address, versions, {one["version"]: one["why"] for one in refused})
    except HTTPError as error:
        error.close()  # it holds the connection
        if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:  # a proxy before a server that is off
            silent = f"it answers {error.code}"
        else:
            foreign = f"is no model server: it answers {error.code}"
    except (OSError, http.client.IncompleteRead) as error:
        silent = str(getattr(error, "reason", error)) or type(error).__name__
    except (http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError):
        foreign = "is no model server: it answers something else"
    return Report(address, silent=silent, foreign=foreign)


def _instead(follows: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """Say what a server follows instead of ours; empty when it may be ours. What one of both does not know is not compared."""
    other = [name for name, known in ours.items() if known and follows[name] and known != follows[name]]
    words = f"serves pipeline {follows['pipeline']}"
    if "folder" in other:
        return f"{words} from ANOTHER FOLDER"
    if "pipeline" in other:
        return f"{words}, not {ours['pipeline']}"
    return f"{words} from ANOTHER RELEASE STORE" if other else ""


def wait(addresses: Sequence[str], ours: Mapping[str, str], version: str, seconds: float) -> list[Report]:
    """Ask until every server has a release in service, one refuses it or is not ours, or time is up; return the last reports."""
    end = time.monotonic() + seconds
    while True:
        reports = [ask(address, ours) for address in addresses]
        # a server that does not answer may do so in a moment, unless it is off
        done = (one.has(version) or one.refused.get(version) or one.off or one.foreign for one in reports)
        if all(done) or time.monotonic() >= end:
            return reports
        time.sleep(ASK_AGAIN)
