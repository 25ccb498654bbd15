# Everything runs in .venv, made from the hash-locked requirements and remade only when a lock changes.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
BENCH_STAMP := .venv-bench/.installed
JOBS ?= auto
DEMO_STORE := $(shell mktemp -u -d)/store

.PHONY: setup demo test test-bench test-vcan test-vcan-all bench lint

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(BENCH_STAMP): requirements-bench.lock pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: setup
	$(BIN)/bmsctl sim run --pack AS52 --station both --seed 1 --store $(DEMO_STORE)
	$(BIN)/bmsctl records verify --store $(DEMO_STORE)
	@ls $(DEMO_STORE)/reports/*.html

test: setup
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

test-bench: setup
	$(BIN)/python -m pytest -m bench -n $(JOBS) --dist loadfile tests/contract tests/hil

test-vcan: setup
	hil/vcan/run $(BIN)/python -m pytest -m vcan tests/vcan

test-vcan-all: test-vcan
	hil/vcan/run --timeout 2400 $(BIN)/python -m pytest -m vcan tests/contract

bench: $(BENCH_STAMP)
	.venv-bench/bin/python -m tests.bench

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
