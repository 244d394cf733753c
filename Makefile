# Every target makes what it needs first: `make demo` and `make test` work in a fresh clone.
# Python 3.11 to 3.13; choose another with `make test PYTHON=python3.12`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-quick chaos fuzz lint bench schemas docs lock clean

help:  ## what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## the virtual environment .venv, from requirements.lock

demo: $(STAMP)  ## a Kafka, the pipeline, a stream of messages, and a table that reconciles them
	@$(BIN)/cimstream demo

# Two files at a time, each process with a Kafka of its own: most of such a test is waiting. One at
# a time on a cluster that was named, because `intake` is one group there.
test: lint  ## lint, then every test, on a real Kafka
	@$(BIN)/python -m pytest --dist loadfile -n $(if $(CIMSTREAM_BOOTSTRAP),0,2)

test-quick: $(STAMP)  ## the tests that need no Kafka
	@$(BIN)/python -m pytest -m "not integration and not chaos and not slow"

chaos: $(STAMP)  ## faults of every kind against the guarantee, 10 minutes (LONG=1: three brokers, much longer)
	@$(BIN)/python -m tests.chaos $(if $(LONG),--long)

fuzz: $(STAMP)  ## a million mutated messages through the XML edge; FUZZ="--count 10000 --seed 2" for others
	@nice $(BIN)/python -m tests.fuzz $(FUZZ)

lint: $(STAMP)  ## ruff, mypy, the import contracts; schemas, glossary and reference pages against what they follow from
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m schemas.profiles.generate --check
	@$(BIN)/python -m schemas.glossary.check
	@$(BIN)/python -m topics.catalogue.meaning
	@$(BIN)/python -m tests.docs.generate --check

bench: $(STAMP)  ## measured throughput and latency, as a table
	@$(BIN)/python -m benchmarks

schemas: $(STAMP)  ## the Avro schemas in schemas/avro, from the profiles
	@$(BIN)/python -m schemas.profiles.generate

docs: $(STAMP)  ## the reference pages in docs/reference, from the code
	@$(BIN)/python -m tests.docs.generate

lock:  ## requirements.lock again, from pyproject.toml (newest versions; needs the network)
	@$(PYTHON) -m venv build/lock
	@build/lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	@build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --all-extras --upgrade \
	    --generate-hashes --no-emit-index-url --custom-compile-command "make lock" \
	    --output-file requirements.lock pyproject.toml
	@rm -rf build/lock && rmdir build 2>/dev/null || true

clean:  ## everything that was made here, but the lock file (a running local broker: `cimstream broker down`)
	@rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is younger than the lock file and pyproject.toml exactly when the environment holds them.
# pip is the one that `venv` brought; nothing outside the lock file is installed.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { \
	    echo "cimstream needs Python 3.11, 3.12 or 3.13; '$(PYTHON)' is another or missing." >&2; \
	    echo "Install one and say which: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "This Python cannot make virtual environments: the modules venv and ensurepip are missing." >&2; \
	    echo "On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
