# Two commands for everybody: `make demo` and `make test`.  They do all the set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CLIENT := .client-venv
DEMO_ARGS ?=
TEST_ARGS ?=
# tests/spread.py says which worker runs what; WORKERS=0 is one process.
WORKERS ?= 3
BENCH_ARGS ?=
KILL_ARGS ?=
LOCK_ARGS ?=
MUTANTS := build/mutants
TOOLS := build/tools
MUTANTS_ARGS ?=

# Bytecode is kept, whatever a container's image says: without it each worker compiles
# all tests and each program of ours that a test starts compiles itself, every time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-upstream test-kill mutants check lint attack lock audit wheel clean
.PHONY: install install-metal install-tests

help:
	@echo "make demo            the whole of S4 on this machine; ONCE=1 also signs up, stores a file, and stops"
	@echo "                     LEVEL=metal: customers' hosts are machines in namespaces; needs root"
	@echo "make test            everything that is tested"
	@echo "make test-upstream   Tahoe-LAFS' own tests against our storage server, alone"
	@echo "make test-kill       the storage node killed 200 times under load; KILL_ARGS=--help"
	@echo "make mutants         would the tests notice a mistake in what decides? MUTANTS_ARGS=--help"
	@echo "make lock            versions and hashes of all packages; LOCK_ARGS=--upgrade"
	@echo "make audit           known holes in the packages' versions"
	@echo "make check           lint, types, import contracts and the fast tests"
	@echo "make bench-signup    the figures of docs/benchmarks.rst"
	@echo "make bench-storage   ... of the storage node beside upstream's on the disk"
	@echo "make bench-operations what operators wait for, with 10,000 signups"
	@echo "make bench-release   ... of a release with customers under way; needs root"
	@echo "make bench-rollout   ... of a new program that is brought to the hosts"
	@echo "make bench-hosts     ... of a customer's host as a machine; needs root"
	@echo "make bench-backup    how late the journal's backup is, and what it costs a day"
	@echo "make bench-drill     how long everything takes to be built from the backup"
	@echo "make attack          a demo under attack, and what a customer feels; ATTACK_ARGS=--help"
	@echo "make wheel           build/wheel/s4-*.whl"
	@echo "make clean           what all of these left in this folder is removed"
	@echo
	@echo "PYTHON=python3.12 chooses another Python; DEMO_ARGS, TEST_ARGS and BENCH_ARGS"
	@echo "go to the demo, to pytest and to the benchmark, as in: make demo DEMO_ARGS=--help"

# bootstrap.py makes the environments, and does nothing when nothing changed: $(VENV)
# for S4, $(CLIENT) with the unmodified tahoe-lafs of PyPI alone, as a customer has it.
install:
	@$(PYTHON) bootstrap.py $(VENV) $(CLIENT)

# Packages of the system that LEVEL=metal needs, too.
install-metal:
	@$(PYTHON) bootstrap.py $(VENV) $(CLIENT) --metal

install-tests:
	@$(PYTHON) bootstrap.py $(VENV) $(CLIENT) --tests

# exec, so that a signal to make's child reaches the launcher itself.
demo: $(if $(filter metal,$(LEVEL)),install-metal,install)
	@exec $(BIN)/python -m lae_localcloud demo $(if $(ONCE),--once) $(if $(LEVEL),--level $(LEVEL)) $(DEMO_ARGS)

lint: install-tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# All of it, on a tree that is as committed, stamps the commit: a release asks for that.
test: lint
	@$(BIN)/python -m lae_provision.deploy.tested begin
	$(BIN)/python -m pytest -n $(WORKERS) $(TEST_ARGS)
	@$(if $(strip $(TEST_ARGS)),,$(BIN)/python -m lae_provision.deploy.tested passed)

# Each suite ends in trial's own summary; `make test` has them, too, the first of them
# also on a real S3 server.  What is left out, and why: tests/storage/upstream_storage.py.
UPSTREAM := $(abspath $(BIN))/python $(abspath tests/storage/upstream_trial.py)
test-upstream: install-tests
	@mkdir -p build/upstream
	cd build/upstream && $(UPSTREAM) young --reporter=text allmydata.test.test_istorageserver
	cd build/upstream && $(UPSTREAM) memory --reporter=text allmydata.test.test_storage_http
	cd build/upstream && $(UPSTREAM) storage --reporter=text

# Some 15 minutes; `make test` has a few of these kills.
test-kill: install-tests
	$(BIN)/python -m tests.storage.killing $(KILL_ARGS)

# A venv of its own: tests/mutants/mutations.py says why.  What was found is kept in
# build/, and the next run goes on from there.
mutants: install-tests
	@$(PYTHON) bootstrap.py --only $(MUTANTS) mutants
	$(MUTANTS)/bin/python -m tests.mutants $(MUTANTS_ARGS)

lock:
	@$(PYTHON) bootstrap.py --only $(TOOLS) tools
	$(TOOLS)/bin/python -m tests.supply.lock $(LOCK_ARGS)

audit:
	@$(PYTHON) bootstrap.py --only $(TOOLS) tools
	@$(TOOLS)/bin/python -m tests.supply.audit

check: lint
	$(BIN)/python -m pytest -n $(WORKERS) -m "not end_to_end and not browser and not long" $(TEST_ARGS)

bench-%: install-tests
	$(BIN)/python -m tests.bench.$* $(BENCH_ARGS)

# A short form of it is part of `make test`.
attack: install-tests
	$(BIN)/python -m tests.attack $(ATTACK_ARGS)

wheel: install-tests
	$(BIN)/pip wheel -q --no-deps --no-build-isolation -w build/wheel .

clean:
	rm -rf $(VENV) $(CLIENT) build *.egg-info twisted/plugins/dropin.cache
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
