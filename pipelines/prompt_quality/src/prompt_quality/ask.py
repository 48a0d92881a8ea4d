"""Ask one prompt about one text, and print what comes back: the work of `make try`."""

import argparse

from onebutton_contracts.errors import require, run_stage
from prompt_quality.model import opened
from prompt_quality.params import Params
from prompt_quality.prompts import about, champion, read_prompts


def main() -> None:
    """Ask; a prompt that is not there, or no answer, is told in one line."""
    parser = argparse.ArgumentParser(prog="try")
    parser.add_argument("--prompt", default="")
    parser.add_argument("--text", required=True)
    typed, params, prompts = parser.parse_args(), Params.load().answer, read_prompts()
    name = typed.prompt or champion(prompts)
    require(name in prompts, f"there is no prompt {name!r}. PROMPT can be: {', '.join(prompts)}")
    with opened(params) as ask:
        reply = ask(about(prompts[name], typed.text))
    require(not reply["error"], f"{params.model} gave no answer: {reply['error']}")
    label = reply["label"] or f"no label: {reply['answer']!r}"
    print(f"{label}  ({name}, {params.model}, {reply['tokens']} tokens, {reply['seconds']:.1f} s)")


if __name__ == "__main__":
    run_stage(main)
