# The front door: every job of this repo is one button, and each sets itself up.
# `make` lists the buttons of every day, `make help ALL=1` the rest.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# Every line goes through a shell: macOS's make 3.81 looks programs of lines without one up in its own PATH, not in that below.
SHELL := /usr/bin/env sh
# Every recipe runs with the environment active, so its lines are what you would type with `.venv` active.
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.tools/bin:$(PATH)
# The lock decides, never the day: uv may not change uv.lock on the way.
export UV_FROZEN := 1
# Common in containers, and it makes every Python program here three times slower.
unexport PYTHONDONTWRITEBYTECODE
# OpenMP's threads otherwise spin while they wait: on a busy machine the same training took 148 s instead of 43 s.
export OMP_WAIT_POLICY := passive
# Another environment must not leak into this one.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
# Nothing here reports to anybody.
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export ORT_DISABLE_TELEMETRY := 1

# Values such as PIPELINE=name count only when typed after `make`, and reach programs as the variable BUTTON_PIPELINE,
# unexpanded: neither a variable of your shell nor a `$(...)` in a value can surprise a recipe.
VALUES := AFFECTED ALL ALONE BASE BREAKING COVERAGE DATA ENV FILE FIT FROM ID IN JSON LICENSE LIMIT MEMBER MODEL NAME OUT OWNER PACKAGE PIPELINE PORT ROWS RUN RUNNER SAMPLES SHA256 SLOW STATUS STRICT TO URL WHY
$(foreach v,$(VALUES),$(eval unexport $(v)))
$(foreach v,$(VALUES),$(eval export BUTTON_$(v) = $$(if $$(filter command,$$(origin $(v))),$$(value $(v)))))

STDLIB := python3 packages/workbench/src/onebutton_workbench

# The environment is fresh when nothing that it is made of is younger than its stamp.
.venv/.synced: uv.lock pyproject.toml .python-version $(wildcard packages/*/pyproject.toml pipelines/*/pyproject.toml)
	@$(STDLIB)/bootstrap.py

##@ Every day

.PHONY: help
help: ## List the buttons; ALL=1 lists all of them
	@$(STDLIB)/buttons.py

.PHONY: setup
setup: ## Make the environment and the git hooks; every other button does it too when it must
	@$(STDLIB)/bootstrap.py

.PHONY: run
run: .venv/.synced ## Train, evaluate and track what changed; PIPELINE=name for one, DATA=dummy without any access
	@python -m onebutton_workbench.runs.run
	@python -m onebutton_tracking.mirror after-run
	@python -m onebutton_workbench.runs.summary

.PHONY: metrics
metrics: .venv/.synced ## Compare the metrics with the last commit; BASE=branch with another
	@python -m onebutton_workbench.runs.metrics

.PHONY: report
report: .venv/.synced ## Write report/index.html: verdicts, slices, curves, comparisons; BASE=branch to compare with
	@python -m onebutton_workbench.runs.report

.PHONY: ui
ui: .venv/.synced ## Open MLflow in the browser: runs, curves, models; PORT=5000
	@python -m onebutton_tracking.ui

.PHONY: format
format: .venv/.synced ## Lay out code, Makefile and notebooks, and mend what can be mended safely
	ruff check --fix-only --quiet
	ruff format
	mbake format Makefile
	rumdl fmt --quiet
	python -m onebutton_workbench.checks.notebooks strip
	python -m onebutton_workbench.checks.stage_rules mend
	python -m onebutton_workbench.checks.glossary
	@echo "format: done. Next: make check"

.PHONY: lint
lint: .venv/.synced ## Find mistakes without changing a file
	@python -m onebutton_workbench.checks.lint

.PHONY: types
types: .venv/.synced ## Check the types of every member; those of drafts are told and stop nobody
	@python -m onebutton_workbench.runs.typecheck

.PHONY: test
test: .venv/.synced ## Run the tests; MEMBER=name, AFFECTED=1 those a change reaches, ALONE=1, SLOW=1, COVERAGE=1
	@python -m onebutton_workbench.runs.testing

.PHONY: check
check: lint types test ## All that a commit must pass: lint, types and test; changes nothing

.PHONY: deploy
deploy: .venv/.synced ## Put a model into service: PIPELINE=name ENV=local; STATUS=1 says what is, TO=version one that was
	@python -m onebutton_workbench.runs.status before-deployment
	@python -m onebutton_release.buttons deploy

.PHONY: rollback
rollback: .venv/.synced ## Go back to the release before: PIPELINE=name WHY="..."; ENV is production when left out
	@python -m onebutton_release.buttons rollback

##@ Checks

.PHONY: ci
ci: .venv/.synced ## Run the GitHub workflow here, on a clean clone of the commit; RUNNER=docker uses act's images
	@python -m onebutton_workbench.runs.ci

.PHONY: affected
affected: .venv/.synced ## Say which members and stages a change reaches, and why; BASE=branch since another
	@python -m onebutton_workbench.lineage.affected

.PHONY: status
status: .venv/.synced ## Name stages that somebody forgot to run, and data that no shared remote has; STRICT=1
	@python -m onebutton_workbench.runs.status

.PHONY: selftest
selftest: .venv/.synced ## Plant one violation per gate in a temporary clone, and see each turn red
	@python -m onebutton_workbench.checks.selftest

.PHONY: explain
explain: .venv/.synced ## Print the page of a check: ID=OB103
	@python -m onebutton_workbench.findings

.PHONY: doctor
doctor: .venv/.synced ## Say what is installed, what is missing, and what cannot be seen from here
	@python -m onebutton_workbench.runs.doctor

.PHONY: all-green
all-green: ## The last job of CI: fail unless every job that it needs succeeded
	@$(STDLIB)/all_green.py

##@ Results

.PHONY: gates
gates: .venv/.synced ## Say which requirements the models meet; STRICT=1 refuses what could not be judged, too
	@python -m onebutton_evaluation.gatekeeping

.PHONY: why
why: .venv/.synced ## Say what stands behind MODEL=name[@champion|/3], RUN=id or FILE=metrics.json; JSON=1
	@python -m onebutton_tracking.why

.PHONY: reproduce
reproduce: .venv/.synced ## Make RUN=id or MODEL=name again from its commit, and compare every output
	@python -m onebutton_tracking.reproduce

.PHONY: track
track: .venv/.synced ## Bring results into MLflow that are not there yet; the last step of `make run`
	@python -m onebutton_tracking.mirror
	@python -m onebutton_release.aliases

.PHONY: notebook
notebook: .venv/.synced ## Open JupyterLab on notebooks/ in the locked environment
	uv run --group notebook --all-packages jupyter lab notebooks

##@ Ship

.PHONY: measure
measure: .venv/.synced ## Boot the server on the model and measure it, for the gates on its service; PIPELINE=name
	@python -m onebutton_release.buttons measure

.PHONY: serve
serve: .venv/.synced ## Run the server on what is in service: PIPELINE=name ENV=local PORT=8000
	@python -m onebutton_release.buttons serve

.PHONY: score
score: .venv/.synced ## Score a table with what is in service: PIPELINE=name IN=rows.parquet OUT=scored.parquet ENV=local
	@python -m onebutton_release.scoring

.PHONY: image
image: .venv/.synced ## Build the container image of the release in service: PIPELINE=name ENV=local
	@python -m onebutton_release.image

.PHONY: champion
champion: .venv/.synced ## Compare with the model in service from now on: PIPELINE=name
	@python -m onebutton_release.buttons champion

##@ Data

.PHONY: data-add
data-add: .venv/.synced ## Take a table in: URL= or FILE=, with SHA256= LICENSE= NAME= PIPELINE=; LIMIT=1000 (MB)
	@python -m onebutton_workbench.data.intake

.PHONY: dummy-data
dummy-data: .venv/.synced ## Draw tables that resemble the real ones: PIPELINE=name ROWS=50000; FIT=1 describes and judges
	@python -m onebutton_workbench.data.dummy

.PHONY: remote
remote: .venv/.synced ## Say where data is kept; URL=s3://bucket/folder keeps it there, keys from the environment
	@python -m onebutton_workbench.data.storage remote

.PHONY: push
push: .venv/.synced ## Send data and models to the remote; PIPELINE=name
	@python -m onebutton_workbench.data.storage push

.PHONY: pull
pull: .venv/.synced ## Fetch data and models from the remote; PIPELINE=name
	@python -m onebutton_workbench.data.storage pull

##@ Make it yours

.PHONY: new-pipeline
new-pipeline: .venv/.synced ## Write a pipeline that runs, for you to change: NAME=churn
	@python -m onebutton_workbench.members.new pipeline

.PHONY: new-package
new-package: .venv/.synced ## Write a package that others can import: NAME=weather
	@python -m onebutton_workbench.members.new package

.PHONY: add
add: .venv/.synced ## Let a member use a package, declared, locked and installed: PACKAGE=xgboost MEMBER=churn
	@python -m onebutton_workbench.members.add
	@$(STDLIB)/bootstrap.py

.PHONY: lock
lock: ## Bring uv.lock in line with what members declare, after a merge or an edit
	@$(STDLIB)/bootstrap.py lock

.PHONY: remove
remove: .venv/.synced ## Take a member out that nobody needs: MEMBER=name; several with commas between
	@python -m onebutton_workbench.members.remove

.PHONY: adopt
adopt: .venv/.synced ## Turn a fresh fork into your team's: NAME=acme OWNER=@acme/data; SAMPLES=remove for an empty house
	@python -m onebutton_workbench.members.adopt

.PHONY: upgrade
upgrade: .venv/.synced ## Merge what upstream has done since; FROM=address or folder of another upstream
	@python -m onebutton_workbench.members.upgrade
