# `make demo` and `make test` install everything by themselves; they are quiet when nothing is to do.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Flower wants an older typer than kwsctl takes: it has an environment of its own.
FLOWER := .venv-flower
FLOWER_STAMP := $(FLOWER)/.installed

.PHONY: setup setup-flower test-flower test-flower-slow executorch litert test-converters demo test test-slow \
  lint types docs check clean

setup: $(STAMP)
	@:

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "kwsctl needs Python 3.11 or newer: make PYTHON=/path/to/python"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing kwsctl and its tools into $(VENV) (the first time takes a few minutes)"
	@# torch first and by itself: asked for through other packages, the newest CUDA build could be taken.
	@$(BIN)/pip install --quiet --disable-pip-version-check "torch>=2.11,<2.14" --prefer-binary
	@$(BIN)/pip install --quiet --disable-pip-version-check --prefer-binary --editable ".[voices,espeak,peers,snapdragon,federated,wyoming,docs,dev]"
	@touch $@

setup-flower: $(FLOWER_STAMP)
	@:

$(FLOWER_STAMP): pyproject.toml
	@test -x $(FLOWER)/bin/python || $(PYTHON) -m venv $(FLOWER)
	@echo "Installing kwsctl with Flower into $(FLOWER) (the first time takes a few minutes)"
	@$(FLOWER)/bin/pip install --quiet --disable-pip-version-check "torch>=2.11,<2.14" --prefer-binary
	@$(FLOWER)/bin/pip install --quiet --disable-pip-version-check --prefer-binary --editable ".[federated,flower]" "flwr[simulation]" "pytest>=9,<10" "hypothesis>=6.150,<7"
	@touch $@

# Shows the whole life of a wake word; stopped, the same command goes on.
demo: $(STAMP)
	@$(BIN)/kwsctl demo --out demo

# A process for each core, and one thread in each: more threads than cores wait for one another.
test: $(STAMP)
	@OMP_NUM_THREADS=1 $(BIN)/pytest -q -n auto --dist loadfile

test-slow: $(STAMP)
	@$(BIN)/pytest -q -m slow

# flwr's typer warns of click 9 when it is imported; in this environment only, that one warning is let through.
FLOWER_TESTS := OMP_NUM_THREADS=1 $(FLOWER)/bin/python -m pytest -q tests/federated/flower \
	-W "ignore:'click.utils.get_binary_stream' is deprecated:DeprecationWarning"
test-flower: $(FLOWER_STAMP)
	@$(FLOWER_TESTS) -m "not slow"

# A SuperLink and two SuperNodes on loopback; through nginx where that is installed.
test-flower-slow: $(FLOWER_STAMP)
	@$(FLOWER_TESTS) -m slow
# Heavy converters: environments of their own, which kwsctl finds beside its own.
executorch:
	@test -x .venv-executorch/bin/python || $(PYTHON) -m venv .venv-executorch
	@.venv-executorch/bin/pip install --quiet --disable-pip-version-check "executorch>=1.5,<1.6" "torch>=2.11,<2.14"

litert:
	@test -x .venv-litert/bin/python || $(PYTHON) -m venv .venv-litert
	@.venv-litert/bin/pip install --quiet --disable-pip-version-check "litert-torch>=0.10,<0.11" \
	  "ai-edge-litert>=2.3,<3" "ai-edge-quantizer>=0.10,<0.11" "torch>=2.11,<2.14"

test-converters: $(STAMP)
	@$(BIN)/pytest -q -m converters

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
	rm -rf $(VENV) $(FLOWER) build dist *.egg-info
