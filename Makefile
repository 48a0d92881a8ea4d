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
# unexpanded: neither a variable of your shell nor a `$(...)` in a value can surprise a recipe. A name with a `_` in it is no value
# of a button but a setting of some program, which make passes on by itself.
WORDS := $(sort $(foreach word,$(MAKEOVERRIDES),$(firstword $(subst =, ,$(subst :=,=,$(word))))))
TYPED := $(foreach name,$(WORDS),$(if $(findstring _,$(name)),,$(if $(filter command,$(origin $(name))),$(name))))
$(foreach name,$(filter BUTTON_%,$(.VARIABLES)),$(eval unexport $(name)))
$(foreach name,$(filter-out SHELL MAKEFLAGS,$(TYPED)),$(eval unexport $(name))$(if $(value $(name)),$(eval export BUTTON_$(name) = $$(value $(name)))))
export BUTTON_GOALS := $(MAKECMDGOALS)

STDLIB := python3 packages/workbench/src/onebutton_workbench

# The environment is fresh when nothing that it is made of is younger than its stamp.
.venv/.synced: uv.lock pyproject.toml .python-version $(wildcard packages/*/pyproject.toml pipelines/*/pyproject.toml)
	@$(STDLIB)/bootstrap.py

##@ Every day

.PHONY: help
help: ## List the buttons; ALL=1 lists all of them, ID=OB103 prints the page of a check
	@$(STDLIB)/buttons.py

.PHONY: setup
setup: ## Make the environment and the git hooks; every other button does it too when it must
	@$(STDLIB)/bootstrap.py

.PHONY: run
run: .venv/.synced ## Train and judge what is out of date: PIPELINE=name for one; DATA=dummy without access to data
	@onebutton run

.PHONY: metrics
metrics: .venv/.synced ## Compare the metrics with the last commit; BASE=branch with another
	@onebutton metrics

.PHONY: report
report: .venv/.synced ## Write report/index.html: verdicts, slices, curves, comparisons
	@onebutton report

.PHONY: ui
ui: .venv/.synced ## Open MLflow in the browser: runs, curves, models; PORT=5000
	@onebutton ui

.PHONY: format
format: .venv/.synced ## Lay out code, Makefile and notebooks, and mend what can be mended safely
	ruff check --fix-only --quiet
	ruff format
	mbake format Makefile
	rumdl fmt --quiet
	@onebutton format

.PHONY: lint
lint: .venv/.synced ## Find mistakes without changing a file; CHANGED=1 what a commit changes; BASE=branch compares
	@onebutton lint

.PHONY: types
types: .venv/.synced ## Check the types of every member; mistakes in drafts are told and stop nobody
	@onebutton types

.PHONY: test
test: .venv/.synced ## Run the tests; MEMBER=name, AFFECTED=1 those a change reaches, ALONE=1, SLOW=1, COVERAGE=1
	@onebutton test

.PHONY: check
check: lint types test ## All that a commit must pass: lint, types and test; changes nothing

.PHONY: deploy
deploy: .venv/.synced ## Put a model into service: PIPELINE=name ENV=local; STATUS=1 says what is, TO=version one that was
	@onebutton deploy

.PHONY: rollback
rollback: .venv/.synced ## Go back to the release before: PIPELINE=name WHY="..."; ENV is production when left out
	@onebutton rollback

##@ Checks

.PHONY: ci
ci: .venv/.synced ## Run the GitHub workflow here, on a clean clone of the commit
	@onebutton ci

.PHONY: status
status: .venv/.synced ## Name stages not run and data no remote has: STRICT=1; AFFECTED=1 BASE=branch what a change reaches
	@onebutton status

.PHONY: audit
audit: .venv/.synced ## Ask for known weaknesses and licences of packages, look for keys in the history; BASE=branch
	@onebutton audit

.PHONY: ruler
ruler: .venv/.synced ## Say which limits, gates, workflows, settings and tests got weaker or stricter; BASE=branch
	@onebutton ruler

.PHONY: selftest
selftest: .venv/.synced ## Plant one violation per gate in a temporary clone, and see each turn red
	@onebutton selftest

.PHONY: doctor
doctor: .venv/.synced ## Say what is installed, what is missing, and what cannot be seen from here
	@onebutton doctor

.PHONY: all-green
# The last job of CI: fails unless every job that it needs succeeded. Nobody presses it by hand.
all-green:
	@$(STDLIB)/all_green.py

##@ Results

.PHONY: gates
gates: .venv/.synced ## Say which requirements the models meet; MEASURE=1 measures the server, STRICT=1 refuses NOT RUN
	@onebutton gates

.PHONY: why
why: .venv/.synced ## Say what stands behind MODEL=name[@champion|/3], RUN=id or FILE=metrics.json; JSON=1
	@onebutton why

.PHONY: reproduce
reproduce: .venv/.synced ## Make RUN=id or MODEL=name again from its commit, and compare every output
	@onebutton reproduce

.PHONY: retrain
retrain: .venv/.synced ## Train on newer months, and say whether it helps: PIPELINE=name UNTIL=2013-09; PR=1
	@onebutton retrain

.PHONY: notebook
notebook: .venv/.synced ## Open JupyterLab on notebooks/ in the locked environment
	uv run --group notebook --all-packages jupyter lab notebooks

##@ Ship

.PHONY: serve
serve: .venv/.synced ## Run the server on what is in service: PIPELINE=name ENV=local PORT=8000
	@onebutton serve

.PHONY: score
score: .venv/.synced ## Predict for each row of a table: PIPELINE=name IN=rows.parquet OUT=scored.parquet
	@onebutton score

.PHONY: image
image: .venv/.synced ## Lay out a container image of the release in service: PIPELINE=name ENV=local OUT=folder
	@onebutton image

.PHONY: monitor
monitor: .venv/.synced ## Watch what is in service: PIPELINE=name LABELS=file ENV=production; REPLAY=1 tries the rules
	@onebutton monitor

##@ Data

.PHONY: data-add
data-add: .venv/.synced ## Take a table in: FILE= with SHA256= LICENSE= NAME= PIPELINE=; AGAIN=1 a query anew
	@onebutton data-add

.PHONY: remote
remote: .venv/.synced ## Say where data is kept; URL=s3://bucket/folder keeps it there, keys from the environment
	@onebutton remote

.PHONY: push
push: .venv/.synced ## Send data and models to the remote; PIPELINE=name
	@onebutton push

.PHONY: pull
pull: .venv/.synced ## Fetch data and models from the remote; PIPELINE=name
	@onebutton pull

##@ Make it yours

.PHONY: try
try: .venv/.synced ## Ask a prompt about a text: TEXT="I love it" PROMPT=plain; the prompt in use when left out
	@onebutton try

.PHONY: new-pipeline
new-pipeline: .venv/.synced ## Write a pipeline around your own table: NAME=churn FROM=own.csv ANSWER=column LICENSE=
	@onebutton new-pipeline

.PHONY: promote
promote: .venv/.synced ## Make a tested pipeline of a notebook: NOTEBOOK=notebooks/churn.ipynb NAME=churn; METRIC=mae; DRY=1
	@onebutton promote

.PHONY: new-package
new-package: .venv/.synced ## Write a package that others can import: NAME=weather
	@onebutton new-package

.PHONY: add
add: .venv/.synced ## Let a member use a package, declared, locked and installed: PACKAGE=xgboost MEMBER=churn
	@onebutton add
	@$(STDLIB)/bootstrap.py

.PHONY: lock
lock: ## Bring uv.lock in line with what members declare, after a merge or an edit
	@$(STDLIB)/bootstrap.py lock

.PHONY: remove
remove: .venv/.synced ## Take a member out that nobody needs: MEMBER=name; several with commas between
	@onebutton remove

.PHONY: adopt
adopt: .venv/.synced ## Turn a fresh fork into your team's: NAME=acme OWNER=@acme/data; SAMPLES=remove for no samples
	@onebutton adopt

.PHONY: upgrade
upgrade: .venv/.synced ## Merge what upstream has done since; FROM=address or folder of another upstream
	@onebutton upgrade
