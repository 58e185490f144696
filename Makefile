# Everything a developer runs. `make up` and `make test` create what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TOOLS := .tools/.installed
BENCH_TOOLS := .tools/bench/.installed

.PHONY: setup up quick test lint gen bench conformance soak clean

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(TOOLS): scripts/tools.sh
	bash scripts/tools.sh .tools
	touch $@

$(BENCH_TOOLS): bench/setup.sh
	bash bench/setup.sh .tools/bench
	touch $@

setup: $(STAMP)

up: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/moor up examples/fleet.yaml

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m mooring.programs.generate --check

quick: setup
	$(BIN)/pytest -q -n auto -m 'not process and not soak'

test: lint $(TOOLS)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -q -m 'not soak'

conformance: setup $(TOOLS)
	PYTHONPATH=tests PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m support.conformance

# Takes over an hour: MINUTES=60 of quiet streams, SECONDS=60 of each kind of fuzzing, from SEED=1.
soak: setup $(TOOLS)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -q -m soak

gen: setup
	$(BIN)/python -m mooring.programs.generate

bench: setup $(BENCH_TOOLS)
	$(BIN)/python bench/run.py

clean:
	rm -rf $(VENV) .tools build dist
