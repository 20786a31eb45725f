# Two commands do everything on a fresh machine: `make run` and `make test`. Each sets up .venv first if need be.
#
#   make test PYTHON=python3.13    another Python (3.11 or newer)
#   make test ARGS="-k softmax"    more arguments for pytest, the harness or the benchmarks
#   make test WORKERS=0            in this process, for a debugger

PYTHON  ?= python3
WORKERS ?= auto
ARGS    ?=

BIN       := .venv/bin
INSTALL   := $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --constraint constraints.txt
READY     := .venv/ready
PEERS     := .venv/ready-with-peers
DOCS      := .venv/ready-with-docs
# A processor with many cores gains little from as many workers, since each of them compiles with JAX for itself. For
# the same reason the tests of a file stay in one worker: what they share is made and compiled once.
PYTEST    := $(BIN)/python -m pytest -ra -n $(WORKERS) --maxprocesses 4 --dist loadfile

# .venv is good for one Python and one folder: a copied or moved tree, or another PYTHON, makes it anew.
MADE_FOR := $(PYTHON) in $(CURDIR)
ifneq ($(shell test -x $(BIN)/python && cat $(READY) 2>/dev/null),$(MADE_FOR))
.PHONY: $(READY)
endif

.PHONY: help run test test-more test-deep test-jax-versions test-versions mutate lint format bench study docs lock clean

help:  ## list the targets (the default)
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-17s %s\n", $$1, $$2}' Makefile

run: $(READY)  ## the main job: cross-check, gate, train, evaluate, report
	@$(BIN)/harness run $(ARGS)

test: $(READY)  ## the tests that a contributor runs between two thoughts, in parallel
	@$(PYTEST) -m "not more" $(ARGS)

# Files of few and long tests would come last and leave all workers but one idle, so that tests may change workers here.
test-more: $(READY)  ## the other tests: browser, cluster, wheel, PyTorch, every function of JAX
	@$(PYTEST) --dist worksteal -m more $(ARGS)

test-deep: $(READY)  ## the tests with many more random networks
	@HARNESS_PROFILE=deep $(PYTEST) $(ARGS)

# What touches JAX's internals, under the oldest supported JAX and under the newest that there is.
OLDEST_JAX := 0.8.0

test-jax-versions:  ## the tests of traced functions, with the oldest and the newest JAX that are supported
	@for version in "==$(OLDEST_JAX)" ">=$(OLDEST_JAX)"; do \
	  folder="build/jax$$version"; \
	  "$(PYTHON)" -m venv --clear "$$folder" && \
	  "$$folder/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade "jax$$version" "jaxlib$$version" . && \
	  "$$folder/bin/python" -c 'import jax; print("JAX", jax.__version__)' && \
	  "$$folder/bin/python" -m pytest -q tests/reference/traced tests/checks/traced || exit 1; \
	done

# The oldest releases that pyproject.toml allows, and the newest that there are, under each Python that is here.
# The oldest releases meet the newest of what they depend on, which warns of them: pytest makes no errors of that (-W).
OLDEST  := hypothesis==6.130.0 jax==0.8.0 jaxlib==0.8.0 matplotlib==3.10.0 numpy==2.2.0 pytest==8.3.0 python-flint==0.9.0 \
           rich==13.9.0 scipy==1.15.0 threadpoolctl==3.5.0 typer==0.18.0
# A Python is here when it runs: a shim of pyenv is found by name, and refuses.
PYTHONS ?= $(foreach version,3.11 3.12 3.13 3.14 3.14t,$(shell python$(version) -c 'print("python$(version)")' 2>/dev/null))

RELEASES := oldest newest

test-versions:  ## the tests with the oldest and the newest libraries, under each Python that is here
	@failed=""; for python in $(PYTHONS); do for which in $(RELEASES); do \
	  folder="build/$$python-$$which"; releases=$$(test $$which = newest || echo "$(OLDEST)"); \
	  warnings=$$(test $$which = newest || echo "-W default"); \
	  "$$python" -m venv --clear "$$folder" && \
	  "$$folder/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade pytest-xdist . $$releases || \
	    { echo "$$python: there is no build of the $$which releases for it" >&2; continue; }; \
	  echo "$$python, $$which:" $$("$$folder/bin/python" -m pip list --format freeze | grep -iE '^(hypothesis|jax|numpy|pytest|scipy)=='); \
	  "$$folder/bin/python" -m pytest -q -n $(WORKERS) $$warnings -m "not more" $(ARGS) || failed="$$failed $$python-$$which"; \
	done; done; test -z "$$failed" || { echo "make test-versions: failed with$$failed" >&2; exit 1; }

mutate: $(READY)  ## how many random bugs the tests notice, of 78; ARGS="--list" names the survivors (half an hour)
	@$(BIN)/python -m tests.checker.mutate $(ARGS)

lint: $(READY)  ## ruff, pyright, which room may import which, and the structure of the code
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python -m tests.checker.structure
	@# Without the ignore, every release of pyright after the pinned one is announced on each run.
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python

format: $(READY)  ## fix what ruff can fix
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: $(PEERS)  ## speed and detection beside other gradient checkers (installs PyTorch)
	@$(BIN)/python -m tests.benchmarks $(ARGS)

study: $(PEERS)  ## the study of the bug zoo (half an hour), as the document that the package carries
	@mkdir -p build && $(BIN)/harness study --json $(ARGS) > build/study.json
	@$(BIN)/python -m json.tool --compact build/study.json build/compact.json
	@rm build/study.json harness/teaching/study-*.json && mv build/compact.json harness/teaching/study-$$(date +%F).json

.PHONY: with-peers
with-peers: $(PEERS)  ## PyTorch and the other checkers, for the tests and studies that call them

.PHONY: figures
figures: $(PEERS)  ## the numbers and pictures of README and docs/study.md, by three studies (a quarter of an hour)
	@$(BIN)/python -m tests.benchmarks.study_page $(ARGS)

.PHONY: golden
golden: $(READY)  ## renew the golden texts of reports, and show what changed
	@HARNESS_RENEW_GOLDEN=1 $(BIN)/python -m pytest -q tests/verdict/test_golden_reports.py
	@git add --intent-to-add tests/golden/reports
	@git --no-pager diff tests/golden/reports

docs: $(DOCS)  ## the guides and the API reference, in build/docs
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "build/docs/index.html"

# The stamp is written last and the folder is cleared first, so whatever an interrupted set-up left is made good.
$(READY): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null || { echo "There is no $(PYTHON) here: name a Python of 3.11 or newer, for example \
	make test PYTHON=python3.13." >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "$(PYTHON) is Python %d.%d, and the \
	harness needs 3.11 or newer: name one, for example make test PYTHON=python3.13." % sys.version_info[:2])'
	@echo "Setting up .venv with $(PYTHON) (once, about a minute)" >&2
	@"$(PYTHON)" -m venv --clear .venv
	@$(INSTALL) hatchling editables
	@$(INSTALL) --no-build-isolation --editable '.[dev]'
	@echo '$(MADE_FOR)' > $@

$(PEERS): $(READY)
	@echo "Adding the peers to .venv (once, some minutes)" >&2
	@$(INSTALL) --no-build-isolation --editable '.[peers]'
	@touch $@

$(DOCS): $(READY)
	@$(INSTALL) --no-build-isolation --editable '.[docs]'
	@touch $@

# One file for every supported Python, whatever this one is. torch and what it alone brings stay out of it: which build
# is right (CPU, CUDA) is a matter of the machine.
lock:  ## renew constraints.txt from the ranges in pyproject.toml
	@"$(PYTHON)" -m venv --clear build/lock
	@build/lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	@echo 'torch; python_version < "3"' > build/lock/without-torch
	@echo '# Exact versions of every package but torch, for Python 3.11 and newer. Made by: make lock' > build/lock/header
	@build/lock/bin/uv pip compile pyproject.toml --quiet --upgrade --all-extras --universal --python-version 3.11 \
	    --fork-strategy fewest --overrides build/lock/without-torch --no-header --no-annotate \
	    --output-file build/lock/constraints
	@cat build/lock/header build/lock/constraints > constraints.txt
	@rm -r build/lock

clean:  ## remove .venv and all that was made
	rm -rf .venv build dist .hypothesis .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
