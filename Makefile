# hopcheck: make demo | diagnose HOST=… | synthetic | faults | setups | test | lint | bench | accuracy | clean

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
export HOST URL ARGS FAULT SETUP
MAKEOVERRIDES :=

.PHONY: demo diagnose day synthetic faults setups test lint bench accuracy versions pages screenshots lock clean

demo: $(STAMP)
	@set -f; $(BIN)/python -m hopcheck.lab demo $${FAULT:+--fault "$$FAULT"} \
	  $${SETUP:+--setup "$$SETUP"} $$ARGS

diagnose: $(STAMP)
	@set -f; $(BIN)/hopcheck diagnose $$ARGS -- $$HOST $$URL

# Every host of hopcheck.toml, once: what a schedule calls.
synthetic: $(STAMP)
	@set -f; $(BIN)/hopcheck run $$ARGS

faults: $(STAMP)
	@$(BIN)/python -m hopcheck.lab faults

setups: $(STAMP)
	@$(BIN)/python -m hopcheck.lab setups

# Nothing of the user's: no kubeconfig, no AWS credentials, no proxy.
test: $(STAMP)
	@env -u HOST -u URL -u ARGS -u FAULT -u SETUP -u MAKEFLAGS -u MFLAGS -u MAKELEVEL \
	  -u KUBECONFIG -u AWS_PROFILE -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY \
	  -u AWS_SESSION_TOKEN -u AWS_REGION -u AWS_DEFAULT_REGION -u HTTP_PROXY -u HTTPS_PROXY \
	  -u http_proxy -u https_proxy -u ALL_PROXY LC_ALL=C.UTF-8 AWS_EC2_METADATA_DISABLED=true \
	  $(BIN)/python -m pytest -q -n 2 --dist loadfile --timeout 120 tests

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(STAMP)
	@$(BIN)/python -m hopcheck.lab.bench --write-readme README.md

accuracy: $(STAMP)
	@$(BIN)/python -m hopcheck.lab accuracy --write-readme README.md

# A simulated day of scheduled runs on the lab: exactly the planned notifications (some minutes).
day: $(STAMP)
	@LC_ALL=C.UTF-8 $(BIN)/python -m tests.day

# The same scenarios on one Traefik of each minor version, one after the other (some minutes).
versions: $(STAMP)
	@$(BIN)/python -m tests.versions --write docs/versions.md

# The reference pages: examples from the tests' scenarios, then docs/findings and docs/runbook.md.
pages: $(STAMP)
	@$(BIN)/python -m tests.examples
	@$(BIN)/python -m hopcheck.report.explain docs/findings
	@$(BIN)/python -m hopcheck.schedule.runbook docs/runbook.md

screenshots: $(STAMP)
	@$(BIN)/python -m tests.report.screenshots

# The lock, from pyproject.toml; what it holds stays as it is but for ARGS=--upgrade.
lock:
	@$(PYTHON) -m venv build/lock
	@build/lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	@set -f; build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --custom-compile-command "make lock" --all-extras --group dev pyproject.toml \
	  --output-file requirements-dev.txt $$ARGS

clean:
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache dist build

$(STAMP): requirements-dev.txt pyproject.toml
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)
