# Every target sets up what it needs in .venv; nothing but Python 3.11 or newer is expected.
# Another interpreter: make PYTHON=python3.12 test. More of pytest: make unit ARGS="-k names -x".

PYTHON ?= python3
WORKERS ?= auto
ARGS ?=

# What random search draws with, and shuffles with: another number each time, unless it is given.
ifndef SEED
SEED := $(shell date +%s)
endif
SEEDED = PYTHONHASHSEED=$(SEED)
BY_SEED = --randomly-seed=$(SEED) --hypothesis-seed=$(SEED)
REPEAT = status=$$?; echo "to repeat this: make SEED=$(SEED) $@" >&2; exit $$status

BIN := .venv/bin
PINS := .ci/constraints.txt
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest
# Benchmarks switch themselves off, with a warning, beside parallel workers.
PARALLEL := -p no:benchmark -n $(WORKERS)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo quick test test-all overnight lint format types unit property conformance crash fuzz \
	golden e2e bench changelog wheel web pins setup clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9 -]+:.*## / { n = split($$1, name, " "); \
	  for (i = 1; i <= n; i++) printf "make %-12s %s\n", name[i], $$2 }' Makefile

demo: .venv/.demo ## register real files twice and watch the second pass add nothing
	@$(BIN)/metaledger demo

# The same examples in the same order each time, so that nothing depends on luck.
test quick unit property conformance crash fuzz golden e2e: export PYTHONHASHSEED = 0

quick: lint types ## lint, types and the unit tests of what changed: for each time you save
	$(PYTEST) -p no:benchmark -p no:cacheprovider $$($(BIN)/python -m tests.support.changed) $(ARGS)

test: lint types .venv/.crate ## everything that must hold before a change lands
	$(PYTEST) $(PARALLEL) -m "not slow" $(ARGS)

# What needs something that is not installed (strace, libfaketime, the right to mount) is told at the
# end, and so are the figures of docs/reliability.md.
test-all: lint types .venv/.crate ## the same, with the slow sweeps and random search; SEED=… repeats one
	@echo "this takes two hours on two cores; docs/reliability.md says how to run one sweep alone"
	$(SEEDED) $(PYTEST) $(PARALLEL) -o faulthandler_timeout=7200 --hypothesis-profile=thorough \
	  $(BY_SEED) $(ARGS) || { $(REPEAT); }

overnight: .venv/.dev ## a million random steps of the model of replay; SEED=… repeats one
	$(SEEDED) $(PYTEST) $(PARALLEL) -o faulthandler_timeout=0 --hypothesis-profile=overnight \
	  $(BY_SEED) tests/property/test_replay_model.py $(ARGS) || { $(REPEAT); }

lint: .venv/.dev ## ruff's rules and format, and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

format: .venv/.dev ## let ruff format and mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: .venv/.dev ## mypy, strict
	$(BIN)/mypy

unit property conformance crash fuzz golden e2e: .venv/.dev ## one folder of tests
	$(PYTEST) tests/$@ $(ARGS)

bench: .venv/.dev ## the workloads of benchmarks/, as a table
	$(BIN)/python benchmarks/run.py $(ARGS)

changelog: .venv/.pip ## at a release: move docs/changes/ into docs/changelog.md
	@$(BIN)/python .ci/changelog.py $(ARGS)

wheel: .venv/.demo ## build the wheel into dist/
	$(PIP) wheel --quiet --no-deps --wheel-dir dist .

web: ## build the page's client into ledger/web/static/; needs node 20 and npm
	npm --prefix ledger/web/client ci --ignore-scripts --no-audit --no-fund
	npm --prefix ledger/web/client run build

setup: .venv/.dev .venv/.crate ## only prepare .venv for development

clean: ## remove .venv and everything that was built
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find ledger projections tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Pins are resolved on the oldest Python that is supported, so that they fit all of them.
pins: ## resolve all dependencies anew and write .ci/constraints.txt
	rm -rf .venv && $(MAKE) PINS=/dev/null setup
	{ sed -n '/^#/p' $(PINS); \
	  $(BIN)/python -m pip freeze --exclude-editable; } > $(PINS).new
	mv $(PINS).new $(PINS)

# --- set-up: a stamp per stage, so that a second call does nothing ---------------------------------

.venv/.pip: $(PINS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "metaledger needs Python 3.11 or newer, found: $$($(PYTHON) --version 2>&1);" \
	       "name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv || { \
	  echo "no virtual environment could be made; on Debian and Ubuntu: apt install python3-venv" >&2; \
	  exit 1; }
	@echo "setting up .venv, once; this takes a minute"
	$(PIP) install --quiet --upgrade 'pip>=25.1'
	@touch $@

.venv/.demo: .venv/.pip pyproject.toml
	$(PIP) install --quiet --constraint $(PINS) --editable '.[demo]'
	@touch $@

.venv/.dev: .venv/.demo
	$(PIP) install --quiet --constraint $(PINS) --editable '.[demo]' --group dev
	@touch $@

# Readers of research objects, in an environment of their own: they ask for other versions of what we use.
.venv/.crate: .venv/.pip pyproject.toml
	@$(PYTHON) -m venv .venv/crate
	@.venv/crate/bin/python -m pip --disable-pip-version-check install --quiet --upgrade 'pip>=25.1' && \
	  .venv/crate/bin/python -m pip --disable-pip-version-check install --quiet --group crate || \
	  { rm -rf .venv/crate; echo "no readers of research objects here; their tests are left out" >&2; }
	@touch $@
