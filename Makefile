# make demo and make test are all a newcomer needs; both make the virtual environment first.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PYTEST_ARGS ?=

# As many tests at a time as there are cores, each on one thread; "-n 0" in PYTEST_ARGS: one after the other.
PYTEST = $(BIN)/python -m pytest -q -n auto --maxprocesses 8 --dist worksteal

.PHONY: help venv demo test test-all lint format reference wheel constraints clean

help:
	@echo "make demo         code a speech file, print scores, write sounds and a picture to demo/"
	@echo "make test         run the tests except the slow ones; PYTEST_ARGS='tests/nn -x' goes to pytest"
	@echo "make test-all     run all tests"
	@echo "make lint         check with ruff and pyright"
	@echo "make format       format the code with ruff"
	@echo "make reference    write the generated pages of docs/reference"
	@echo "make wheel        build dist/*.whl with the pretrained models inside"
	@echo "make constraints  write the versions in $(VENV) to constraints.txt"
	@echo "make venv         make the virtual environment $(VENV); PYTHON=python3.12 chooses the Python"
	@echo "make clean        remove what these targets made, except the virtual environment"

venv: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else f"Python {v[0]}.{v[1]} found, 3.11 to 3.13 needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: venv
	$(BIN)/python tools/demo.py

test: venv
	$(PYTEST) -m "not slow" $(PYTEST_ARGS)

test-all: venv
	$(PYTEST) $(PYTEST_ARGS)

lint: venv
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python

format: venv
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

reference: venv
	$(BIN)/python tools/release/reference.py

wheel: venv
	$(BIN)/python -m build --wheel

constraints: venv
	@echo "# Versions that the tests passed with; made by make constraints." > constraints.txt
	$(BIN)/python -m pip freeze --exclude-editable >> constraints.txt

clean:
	rm -rf dist build demo .pytest_cache .ruff_cache
	find audiocodec tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
