"""Every button of the Makefile: `onebutton lint` is what `make lint` presses.

The Makefile hands over what was typed after `make`: PIPELINE=name arrives as the variable BUTTON_PIPELINE, and becomes the
argument `pipeline`. A button is a function with types and a docstring, imported when it is pressed, so that no button waits for
another's imports; an argument `root` is the root of the repository, and nobody types it.
"""

import difflib
import errno
import os
import subprocess
import sys
from typing import Any

from cyclopts import App, CycloptsError, Parameter
from cyclopts.config import Env

from onebutton_contracts.errors import InputError, require
from onebutton_workbench.workspace import ROOT, pipelines_named

PREFIX = "BUTTON_"
GOALS = "BUTTON_GOALS"  # what was typed after `make` without a `=`
MACHINE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EMFILE}  # no mistake of ours
# With JSON=1 these print one document on stdout, for programs.
AS_JSON = {"lint", "types", "test", "gates", "status", "ruler", "audit"}
IN_SERVICE = ". `make deploy STATUS=1` says what is in service"
TYPED = Parameter(parse="^(?!root$)")  # all arguments but `root`

app = App(
    name="onebutton",
    help="The buttons of this repository. `make help` lists them with the values that each takes.",
    config=Env(PREFIX, command=False),
    default_parameter=TYPED,
    result_action="return_value",
)
BUTTONS = {
    "run": "onebutton_workbench.runs.run:run",
    "retrain": "onebutton_workbench.runs.retrain:retrain",
    "metrics": "onebutton_workbench.runs.metrics:metrics",
    "report": "onebutton_workbench.runs.report:report",
    "ui": "onebutton_tracking.ui:ui",
    "lint": "onebutton_workbench.checks.lint:lint",
    "types": "onebutton_workbench.runs.typecheck:check",
    "test": "onebutton_workbench.runs.testing:run_tests",
    "ci": "onebutton_workbench.runs.ci:run_workflow",
    "status": "onebutton_workbench.runs.status:status",
    "audit": "onebutton_workbench.checks.audit:audit",
    "ruler": "onebutton_workbench.checks.ruler_rules:ruler",
    "selftest": "onebutton_workbench.checks.selftest:selftest",
    "doctor": "onebutton_workbench.runs.doctor:examine",
    "why": "onebutton_tracking.why:why",
    "reproduce": "onebutton_tracking.reproduce:reproduce_all",
    "rollback": "onebutton_release.moves:go_back",
    "image": "onebutton_release.image:image",
    "score": "onebutton_release.scoring:score_table",
    "data-add": "onebutton_workbench.data.intake:data_add",
    "remote": "onebutton_workbench.data.storage:choose",
    "push": "onebutton_workbench.data.storage:push",
    "pull": "onebutton_workbench.data.storage:pull",
    "try": "onebutton_workbench.runs.prompts:ask",
    "new-pipeline": "onebutton_workbench.runs.own_table:new_pipeline",
    "new-package": "onebutton_workbench.members.new:new_package",
    "promote": "onebutton_workbench.promote.promote:promote",
    "add": "onebutton_workbench.members.lockfile:add",
    "remove": "onebutton_workbench.members.remove:remove",
    "adopt": "onebutton_workbench.members.adopt:adopt",
    "upgrade": "onebutton_workbench.members.upgrade:upgrade",
}
for name, function in BUTTONS.items():
    app.command(function, name=name)


@app.command(name="format")
def format_() -> None:
    """Mend what stock tools cannot: notebooks, and fingerprints in `dvc.yaml`."""
    from onebutton_workbench.checks.stage_rules import mend_all
    from onebutton_workbench.git import listed

    if notebooks := listed(ROOT, "*.ipynb"):
        subprocess.run(["nbstripout", "--keep-id", *notebooks], cwd=ROOT, check=True)
    mend_all()
    print("format: done. Next: make check")


@app.command
def deploy(
    *, pipeline: str = "", env: str = "", to: str = "", why: str = "", breaking: bool = False, status: bool = False
) -> None:
    """Put a model into service, or say what is."""
    if status:
        from onebutton_release.status import show_status

        show_status(ROOT, pipeline, env)
        return
    from onebutton_release.deploy import deploy_and_report
    from onebutton_release.target import find_target
    from onebutton_workbench.runs.status import before_deployment

    if not to:  # a release that is there already is not made of what stands here
        before_deployment(pipeline=pipeline)
    target = find_target(ROOT, pipeline, env, "local")
    print(f"deploy: {deploy_and_report(target, version=to, why=why, breaking=breaking)}")


@app.command
def monitor(*, pipeline: str = "", env: str = "", labels: str = "", replay: bool = False) -> int:
    """Watch what is in service by its log and late labels, or replay history."""
    from onebutton_monitoring.monitor import monitor, replay_history

    return replay_history(ROOT, pipeline) if replay else monitor(ROOT, pipeline, env, labels)


@app.command
def gates(*, pipeline: str = "", strict: bool = False, measure: bool = False) -> None:
    """Say which requirements the models meet."""
    from onebutton_evaluation.gatekeeping import gates
    from onebutton_release.champion import release_of_champion

    if measure:
        from onebutton_release.candidate import measure as measure_server

        measure_server(ROOT, pipeline)
    folders = [ROOT / "pipelines" / name for name in pipelines_named(pipeline)]
    gates(folders, strict=strict, champion=lambda folder: release_of_champion(ROOT, folder))


@app.command
def serve(*, pipeline: str = "", env: str = "", port: int | None = None) -> None:
    """Run the server on what is in service."""
    from onebutton_release.serve import serve, waits_for_deploy

    if waits_for_deploy(ROOT, pipeline, env):
        print("serve: nothing of this draft is in service yet, so what was run here is deployed first", flush=True)
        deploy(pipeline=pipeline, env=env)
    serve(ROOT, pipeline, env, port)


def values_of(button: str) -> set[str]:
    """Name the values that a button takes, such as PIPELINE."""
    arguments = app[button].assemble_argument_collection(default_parameter=TYPED)
    names = {one.name.lstrip("-").upper() for one in arguments if one.parse}
    return names | {"JSON"} if button in AS_JSON else names


def buttons() -> list[str]:
    """List the buttons."""
    return [name for name in app if not name.startswith("-")]


def check_values(button: str) -> None:
    """Refuse a value that no button takes; and one that this does not, when it is the only button that was pressed."""
    typed = {name.removeprefix(PREFIX) for name in os.environ if name.startswith(PREFIX) and name != GOALS}
    taken = values_of(button)
    for name in sorted(typed - taken):
        every = {value for other in buttons() for value in values_of(other)}
        near = difflib.get_close_matches(name.upper(), sorted(taken if name in every else every), 1)
        wrong = f"`make {button}` takes no {name}" if name in every else f"no button takes {name}"
        instead = f"Did you mean {near[0]}?" if near else f"It takes {', '.join(sorted(taken)) or 'no value'}"
        of_another = name in every and os.environ.get(GOALS, button).split() != [button]
        require(of_another, f"{wrong}. {instead}")


def press(words: list[str]) -> Any:
    """Do what a button is for; what was typed is read, and then taken out of the environment of all that is started.

    With JSON=1 the button is pressed by a program of its own, and what it says is printed as one document.
    """
    if words and words[0] in buttons():
        check_values(words[0])
        if words[0] in AS_JSON and os.environ.pop(f"{PREFIX}JSON", "") not in {"", "0"}:
            from onebutton_workbench.findings import document

            pipe, both = subprocess.PIPE, subprocess.STDOUT
            done = subprocess.run([sys.argv[0], *words], stdout=pipe, stderr=both, text=True, check=False)
            print(document(words[0], done.returncode, done.stdout))
            return done.returncode
    work, values, untyped = app.parse_args(words, print_error=False, exit_on_error=False)
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    return work(*values.args, **values.kwargs, **dict.fromkeys(untyped, ROOT))


def mistake(error: Exception) -> str:
    """Say what a person reads when something is theirs to mend; empty when the error is a mistake of ours."""
    if isinstance(error, CycloptsError):
        return " ".join(str(error).replace(PREFIX, "").replace(" from env", "").split())
    if isinstance(error, OSError) and error.errno in MACHINE:
        return f"{error.filename or 'the system'}: {error.strerror}"
    for_people = isinstance(error, InputError) or getattr(error, "for_people", False)
    return str(error) if for_people else ""


def main() -> None:
    """Press a button and end: with its status, or with one line where a person can mend something."""
    button = next(iter(sys.argv[1:]), app.name[0])
    try:
        status = press(sys.argv[1:]) or 0
        sys.stdout.flush()
    except BrokenPipeError:  # a reader such as `head` has seen enough
        os._exit(141)  # as a program that the signal ends
    except KeyboardInterrupt:
        print(f"\n{button}: interrupted{IN_SERVICE if button in {'deploy', 'rollback'} else ''}", file=sys.stderr)
        status = 130
    except Exception as error:
        if not (words := mistake(error)):
            raise
        print(f"{button}: {words}", file=sys.stderr)
        status = 1
    if "mlflow" in sys.modules:  # its threads that still wait for a server would hold the program
        sys.stdout.flush()
        os._exit(status)
    sys.exit(status)
