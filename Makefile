# `make run` shows the main job, `make test` runs every check; both set up all they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PLUGIN := backends/portmapper-miniupnpc

.PHONY: help run test check docs conformance fuzz loss schedules soak torture bench screenshots setup router-packages clean

help:
	@echo "make run          install into $(VENV) and open a port through a simulated gateway"
	@echo "make test         install what the tests need and run all checks and tests"
	@echo "make check        only the linters, type checkers and layer contracts"
	@echo "make docs         build the documentation into build/docs"
	@echo "make conformance  the result for each requirement and each router quirk, by the tests that pin it"
	@echo "make fuzz         the property tests with forty times as many examples"
	@echo "make bench        time a mapping by each protocol against a real router"
	@echo "make screenshots  take the pictures in docs/assets from the real command (needs tmux)"
	@echo "make torture      cancel every call at every moment, fail every socket call, compare the loops; about an hour"
	@echo "make schedules    100,000 random schedules of faults in virtual time, and 10,000 mappings for 100 hours; about an hour"
	@echo "make loss         how often and how fast a port is mapped when up to half of all packets are lost each way"
	@echo "make soak         that, and move mappings between two real routers 20 times; keep some of 10 s open for ten minutes"

run: $(VENV)/.installed
	@$(BIN)/python examples/open_a_port.py

test: check router-packages
	$(BIN)/python -m $(if $(TESTS),pytest $(TESTS),tests.side_by_side)

fuzz: $(VENV)/.installed-dev
	PORTMAPPER_FUZZ=40 $(BIN)/python -m pytest -m hypothesis --timeout 3600

soak: $(VENV)/.installed-dev router-packages torture schedules
	PORTMAPPER_SOAK=600 $(BIN)/python -m pytest tests/router/test_moving.py tests/router/test_stopped.py tests/router/test_way_out.py -s
	PORTMAPPER_SOAK=600 $(BIN)/python -m pytest tests/router/test_no_gap.py tests/router/test_reboots.py tests/router/test_loss.py tests/router/test_pump.py tests/router/test_faults.py -s
	$(BIN)/python -m tests.faults.loss_rate
	PORTMAPPER_SOAK=600 $(BIN)/python -m pytest tests/router/test_state.py -s

torture: $(VENV)/.installed-dev
	PORTMAPPER_SOAK=1 $(BIN)/python -m pytest tests/faults --timeout 3600

schedules: $(VENV)/.installed-dev
	$(BIN)/python -m tests.model 100000
	PORTMAPPER_SOAK=1 $(BIN)/python -m pytest tests/engine -s

loss: $(VENV)/.installed-dev router-packages
	$(BIN)/python -m tests.faults.loss_rate

bench: $(VENV)/.installed-dev router-packages
	$(BIN)/python -m tests.router.bench

screenshots: $(VENV)/.installed-dev router-packages
	$(BIN)/python -m tests.terminal.screenshots

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir build/docs

conformance: $(VENV)/.installed-dev router-packages
	$(BIN)/python -m tests.conformance

setup: $(VENV)/.installed-dev

# The tests against a real router need root and packages, those in a real terminal tmux; without they say so and skip (never
# under CI).
router-packages:
	@sh tests/router/install_packages.sh

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/bin/python pyproject.toml $(PLUGIN)/pyproject.toml
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@$(BIN)/python -m pip install --quiet --editable $(PLUGIN) || if test "$$CI" = true; then exit 1; \
	else echo "$(PLUGIN) cannot be installed here (no wheel, no C compiler?): its tests are left out"; fi
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
