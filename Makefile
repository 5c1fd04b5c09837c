.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable

.PHONY: help serve test debug lint bench clean

help:  ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "%-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/python:
	$(PYTHON) -m venv .venv
	@touch $@

.venv/serving: .venv/python setup.cfg setup.py pyproject.toml
	$(PIP) '.[embedded,fast,arrow]'
	@touch $@

.venv/testing: .venv/serving
	$(PIP) '.[embedded,fast,arrow,test,lint]'
	@touch $@

serve: .venv/serving  ## Start the service on 127.0.0.1:8000
	@exec $(BIN)/mlservice serve

test: .venv/testing  ## Run all tests
	$(BIN)/pytest --numprocesses 2 -m 'not alone' --cov --cov-fail-under=0 --cov-report=
	$(BIN)/pytest -m alone --cov --cov-append

debug: .venv/testing  ## Run all tests with asyncio's own checks
	PYTHONASYNCIODEBUG=1 $(BIN)/pytest --numprocesses 2

lint: .venv/testing  ## Check style, types, architecture and containers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose*.yml

bench: .venv/testing  ## Measure against the floor
	$(BIN)/python -m benchmarks

clean:  ## Remove the virtual environment and caches
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis
