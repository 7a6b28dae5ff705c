# Two commands for everybody: `make demo` and `make test`. They do all the set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CLIENT := .client-venv
DEMO_ARGS ?=
TEST_ARGS ?=

.PHONY: demo test check lint wheel clean help install

help:
	@echo "make demo            the whole of S4 on this machine; ONCE=1 also signs up, stores a file, and stops"
	@echo "make test            everything that is tested"
	@echo "make check           lint, types, import contracts and the fast tests"
	@echo "make bench-signup    the figures of docs/benchmarks.rst"

# bootstrap.py makes the environments: $(VENV) for S4 and its tests, $(CLIENT) with
# the unmodified tahoe-lafs of PyPI alone, as a customer has it.
$(VENV)/.installed: bootstrap.py setup.py constraints.txt
	@$(PYTHON) bootstrap.py $(VENV) $(CLIENT)

install: $(VENV)/.installed

# exec, so that a signal to make's child reaches the launcher itself.
demo: install
	@exec $(BIN)/lae localcloud demo $(if $(ONCE),--once) $(DEMO_ARGS)

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: lint
	@$(PYTHON) bootstrap.py --test-system
	$(BIN)/python -m pytest $(TEST_ARGS)

check: lint
	$(BIN)/python -m pytest -m "not end_to_end and not browser" $(TEST_ARGS)

bench-%: install
	$(BIN)/python -m tests.bench.$* $(BENCH_ARGS)

wheel: install
	$(BIN)/pip wheel -q --no-deps --no-build-isolation -w build/wheel .

clean:
	rm -rf $(VENV) $(CLIENT) build *.egg-info
