"""Run each stage again with nothing but what `dvc.yaml` says that it reads, and compare. The work of `make run ALONE=1`.

A read that is not declared fails, by whatever library it is made: DVC would not rerun the stage when that file changes. A stage
that reads what another wrote gets no network either. Unseen stays what is read by an absolute path, as from HOME.
"""

import shutil
import tempfile
import time
from pathlib import Path

from onebutton_contracts.dvc_files import read_plan
from onebutton_contracts.errors import require
from onebutton_evaluation.recompute import rerun
from onebutton_workbench.environment import call
from onebutton_workbench.workspace import ROOT, pipelines_named, unnamed_drafts

NO_NETWORK = ("unshare", "--map-root-user", "--net")  # a namespace of its own, in which there is no network


def run_each_alone(pipeline: str) -> None:
    """Run every stage of a pipeline, or of all, in a folder of its own; drafts are told and stop nobody."""
    told = unnamed_drafts(pipeline)
    inside = NO_NETWORK if shutil.which(NO_NETWORK[0]) and not call(*NO_NETWORK, "true", folder=ROOT).returncode else ()
    if not inside:
        print("run: NOT RUN without a network: this system lets nobody take it away from a program")
    bad = 0
    for name in pipelines_named(pipeline):
        folder = ROOT / "pipelines" / name
        stages = read_plan(folder / "dvc.yaml").stages
        written = {path for stage in stages for path in stage.outs}
        for stage in stages:
            if stage.filled_in:
                print(f"  {name}: NOT RUN {stage.name}: only DVC knows what it becomes")
                continue
            begun = time.perf_counter()
            with tempfile.TemporaryDirectory(prefix="onebutton-alone-") as scratch:
                wrong = rerun(folder, stage, Path(scratch), inside if written & {*stage.reads} else ())
            took = f"{stage.name} alone, {time.perf_counter() - begun:.1f} s"
            said = [f"failed {words}" for words in wrong] or [took]
            print(*(f"  {name}: {line}" for line in said), sep="\n", flush=True)
            bad += 0 if name in told else len(wrong)
    mend = "name in dvc.yaml what the stage reads, then `make run ALONE=1` again"
    require(not bad, f"{bad} of the lines above failed: {mend}")
    print("run: every stage needs nothing but what dvc.yaml names, and writes what stands here. Next: make gates")
