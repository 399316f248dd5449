# `make` alone explains the targets. Everything runs from .venv, which is made when it is missing or out of date.
.DEFAULT_GOAL := help
SHELL := /bin/sh
.PHONY: help demo test test-fast test-slow bench lint docs format lock env clean

PIP_TOOLS := pip-tools==7.6.2
BIN := .venv/bin

# NumPy's and scikit-learn's threads slow down the small problems of the search.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export TF_CPP_MIN_LOG_LEVEL ?= 3

# Tests of one file share what they compile and train, so they stay on one core.
PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile

# Before anything else: what the system lacks, in one line.
ifneq ($(filter-out help clean,$(or $(MAKECMDGOALS),help)),)
CHECKED := $(shell PYTHON='$(PYTHON)' sh scripts/check_tools.sh)
ifneq ($(.SHELLSTATUS),0)
$(error $(CHECKED))
endif
endif

help: ## this list
	@echo "codesign: quantised neural networks on FPGAs that survive soft errors, at the least cost"
	@echo
	@grep -E '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'
	@echo
	@echo "Needs Python 3.11 with venv, git, make and g++. PYTHON=/path/to/python3.11 names another Python."

demo: env ## design a protected accelerator for the digits network into runs/demo (goes on if interrupted)
	$(BIN)/codesign optimize models/digits_mlp.toml --out runs/demo

test: env ## all tests but the slow ones, the quickest first
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow"

test-fast: env ## only the tests that neither compile C++ nor need TensorFlow
	$(BIN)/python -m pytest -m "not slow and not cxx and not tf"

test-slow: env ## the slow tests, which CI runs too
	$(BIN)/python -m pytest $(PARALLEL) -m slow

bench: env ## measure the engine and the C-simulation against others; writes docs/benchmarks.md
	$(BIN)/python benchmarks/report.py

lint: env ## ruff, mypy --strict, clang-format and the import order of the package
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror hls_templates/*.h tests/cxx/* codesign/engine/native/*
	$(BIN)/mypy
	$(BIN)/python scripts/check_imports.py

docs: env ## the documentation as a site, in site/; a dead link or a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

format: env ## format the code and mend what ruff can mend
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i hls_templates/*.h tests/cxx/* codesign/engine/native/*

lock: ## write requirements.lock again after a change of pyproject.toml's dependencies
	$(CHECKED) -m venv --clear .venv-lock
	.venv-lock/bin/python -m pip --disable-pip-version-check install --quiet $(PIP_TOOLS)
	CUSTOM_COMPILE_COMMAND="make lock" .venv-lock/bin/pip-compile --quiet --all-extras --allow-unsafe --generate-hashes \
	    --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options \
	    --output-file requirements.lock pyproject.toml
	rm -rf .venv-lock

env: ## the environment .venv, from requirements.lock
	@sh scripts/make_env.sh '$(CHECKED)'

clean: ## remove caches and build results; keeps .venv and runs/
	rm -rf .venv-lock build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
