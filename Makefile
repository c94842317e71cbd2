# What there is: `make`. A target is told by the words behind its `##`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

# A variable of the command line is expanded by make wherever it is exported, whatever mentions it;
# taken by value it stays text. The recipes read it from the environment, word by word, without
# globbing, so neither make nor the shell ever runs what it says.
override HOST := $(value HOST)
override URL := $(value URL)
override ARGS := $(value ARGS)
override FAULT := $(value FAULT)
override SETUP := $(value SETUP)
override REPORT := $(value REPORT)
export HOST URL ARGS FAULT SETUP REPORT
MAKEOVERRIDES :=

.PHONY: help demo diagnose synthetic faults setups test test-all lint bench profile accuracy day \
  versions conform pages screenshots lock clean

help: ## what there is
	@awk -F ': .*## ' '/^[a-z-]+: .*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

demo: $(STAMP) ## an embedded lab with the real Traefik, diagnosed; FAULT=, SETUP= or REPORT= first
	@set -f; $(BIN)/python -m hopcheck.lab demo $${FAULT:+--fault "$$FAULT"} \
	  $${SETUP:+--setup "$$SETUP"} $${REPORT:+--report "$$REPORT"} $$ARGS

diagnose: $(STAMP) ## diagnose HOST=… or URL=…; further options: ARGS='--context prod'
	@set -f; $(BIN)/hopcheck diagnose $$ARGS -- $$HOST $$URL

synthetic: $(STAMP) ## every host of hopcheck.toml, once: what a schedule calls
	@set -f; $(BIN)/hopcheck run $$ARGS

faults: $(STAMP) ## what the lab can break
	@$(BIN)/python -m hopcheck.lab faults

setups: $(STAMP) ## healthy but unusual set-ups that the lab can arrange
	@$(BIN)/python -m hopcheck.lab setups

# Nothing of the user's: no kubeconfig, no AWS credentials, no proxy.
PYTEST = env -u HOST -u URL -u ARGS -u FAULT -u SETUP -u REPORT -u MAKEFLAGS -u MFLAGS -u MAKELEVEL \
  -u KUBECONFIG -u AWS_PROFILE -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY \
  -u AWS_SESSION_TOKEN -u AWS_REGION -u AWS_DEFAULT_REGION -u HTTP_PROXY -u HTTPS_PROXY \
  -u http_proxy -u https_proxy -u ALL_PROXY LC_ALL=C.UTF-8 AWS_EC2_METADATA_DISABLED=true \
  $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --timeout 120

test: $(STAMP) ## the project's own tests in some four minutes; touches nothing of yours
	@$(PYTEST) -m "not more" tests

test-all: $(STAMP) ## every test: also those that `make test` takes a sample of
	@$(PYTEST) tests

lint: $(STAMP) ## ruff, mypy, and vulture: no code that tests alone call
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/vulture

bench: $(STAMP) ## how long a cold run takes, against a person's commands; many hosts; into the README
	@$(BIN)/python -m hopcheck.lab.bench --write-readme README.md

profile: $(STAMP) ## where the time of a cold run goes: imports, each party, judging, writing
	@$(BIN)/python -m hopcheck.lab.profile

accuracy: $(STAMP) ## how often it is right, on the lab (some minutes); into the README
	@$(BIN)/python -m hopcheck.lab accuracy --write-readme README.md

day: $(STAMP) ## a simulated day of scheduled runs: exactly the planned notifications (some minutes)
	@LC_ALL=C.UTF-8 $(BIN)/python -m tests.day

versions: $(STAMP) ## the scenarios on a Traefik of each minor version (some minutes); into docs/versions.md
	@$(BIN)/python -m tests.versions --write docs/versions.md

# Of 2.11 the package index has no binary: ARGS='--versions 2.11.53=PATH 3.0.4 3.3.6 3.5.3 3.7.15'.
conform: $(STAMP) ## predictions for 10,000 cases against the real Traefik of four versions (an hour)
	@set -f; LC_ALL=C.UTF-8 $(BIN)/python -m tests.conform --count 10000 $$ARGS

# The examples from the tests' scenarios, then the pages (docs/findings, docs/runbook.md: not in git),
# and the README's list of options.
pages: $(STAMP) ## the reference pages, with the examples of the tests' scenarios
	@$(BIN)/python -m tests.examples
	@$(BIN)/python -m hopcheck.report.explain docs/findings
	@$(BIN)/python -m hopcheck.schedule.runbook docs/runbook.md
	@$(BIN)/python -m tests.config.readme

screenshots: $(STAMP) ## docs/screenshots, by a real browser, and the terminal of the README
	@$(BIN)/python -m tests.report.screenshots
	@$(BIN)/python -m tests.readme

lock: ## requirements-dev.txt, the lock with hashes, from pyproject.toml; ARGS=--upgrade
	@$(PYTHON) -m venv build/lock
	@build/lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	@set -f; build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --custom-compile-command "make lock" --all-extras --group dev pyproject.toml \
	  --output-file requirements-dev.txt $$ARGS

clean: ## remove the environment and the caches
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache dist build

$(STAMP): requirements-dev.txt pyproject.toml
	@sh environment.sh "$(PYTHON)" $(VENV)
