# `make demo` and `make test` install everything by themselves; they are quiet when nothing is to do.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test test-slow lint types docs check clean

setup: $(STAMP)
	@:

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "kwsctl needs Python 3.11 or newer: make PYTHON=/path/to/python"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing kwsctl and its tools into $(VENV) (the first time takes a few minutes)"
	@# torch first and by itself: asked for through other packages, the newest CUDA build could be taken.
	@$(BIN)/pip install --quiet --disable-pip-version-check "torch>=2.11,<2.14" --prefer-binary
	@$(BIN)/pip install --quiet --disable-pip-version-check --prefer-binary --editable ".[voices,espeak,peers,snapdragon,federated,docs,dev]"
	@touch $@

# Shows the whole life of a wake word; stopped, the same command goes on.
demo: $(STAMP)
	@$(BIN)/kwsctl demo --out demo

# A process for each core, and one thread in each: more threads than cores wait for one another.
test: $(STAMP)
	@OMP_NUM_THREADS=1 $(BIN)/pytest -q -n auto --dist loadfile

test-slow: $(STAMP)
	@$(BIN)/pytest -q -m slow

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pydoclint --quiet kwsctl models data_recipes

types: $(STAMP)
	@$(BIN)/mypy

# The site, with every link checked; it is read from build/site/index.html.
docs: $(STAMP)
	@$(BIN)/python docs/commands.py --check
	@$(BIN)/pytest -q tests/test_docs.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

check: lint types docs test

clean:
	rm -rf $(VENV) build dist *.egg-info
