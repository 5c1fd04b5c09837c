.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable

MINUTES ?= 10
SEED ?= 1

.PHONY: help serve test cover faults chaos debug lint bench conformance lock audit sbom clean

help:  ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "%-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/python:
	$(PYTHON) -m venv .venv
	@touch $@

.venv/serving: .venv/python setup.cfg setup.py pyproject.toml
	$(PIP) '.[embedded,fast,arrow]'
	@touch $@

.venv/testing: .venv/serving
	$(PIP) '.[embedded,fast,arrow,test,lint,bench]'
	@touch $@

.venv/breaking: .venv/testing
	$(PIP) '.[embedded,fast,arrow,test,lint,bench,clock]'
	@touch $@

.venv/releasing: .venv/python setup.cfg
	$(PIP) '.[release]'
	@touch $@

serve: .venv/serving  ## Start the service on 127.0.0.1:8000
	@exec $(BIN)/mlservice serve

test: .venv/testing  ## Run all tests but those of `make faults`
	$(BIN)/pytest --numprocesses 2 -m 'not alone and not faults'
	$(BIN)/pytest -m 'alone and not faults'

cover: .venv/testing  ## Run them with a look at which lines and branches they reach
	$(BIN)/pytest --numprocesses 2 -m 'not alone and not faults' --cov --cov-fail-under=0 --cov-report=
	$(BIN)/pytest -m 'alone and not faults' --cov --cov-append

faults: .venv/breaking  ## Break what takes long to break: failover, kill -9 of everything
	$(BIN)/pytest -m faults

chaos: .venv/testing  ## Hurt a whole service at random: MINUTES=10 SEED=1
	$(BIN)/python -m tests.chaos --minutes $(MINUTES) --seed $(SEED)

debug: .venv/testing  ## Run all tests with asyncio's own checks
	PYTHONASYNCIODEBUG=1 $(BIN)/pytest --numprocesses 2 -m 'not faults'

.venv-conformance/clients: requirements/conformance.in
	$(PYTHON) -m venv .venv-conformance
	.venv-conformance/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-conformance/bin/uv pip install --quiet --python .venv-conformance/bin/python --requirement $<
	@touch $@

conformance: .venv/serving .venv-conformance/clients  ## Run other servers' clients against the service
	.venv-conformance/bin/python -m pytest -c tests/conformance/pytest.ini tests/conformance

lint: .venv/testing  ## Check style, types, architecture and containers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/kubernetes-validate --strict --quiet --no-warn deploy/kubernetes/*/*.yaml

bench: .venv/testing  ## Measure all that is promised of predictions, beside the floor
	$(BIN)/python -m benchmarks.all

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url

lock: .venv/releasing  ## Renew the locked dependencies of the images
	$(LOCK) --upgrade --extra fast --extra arrow --output-file requirements/run.txt setup.cfg
	$(LOCK) --upgrade --extra fast --extra arrow --extra test --constraints requirements/run.txt \
		--output-file requirements/test.txt setup.cfg
	$(LOCK) --upgrade --output-file requirements/build.txt requirements/build.in

audit: .venv/releasing  ## Look the locked dependencies up among known weaknesses
	$(BIN)/pip-audit --require-hashes --disable-pip --requirement requirements/test.txt

sbom: .venv/releasing  ## Write the image's bill of materials (CycloneDX) to build/sbom.json
	@mkdir -p build
	$(BIN)/cyclonedx-py requirements requirements/run.txt --output-reproducible --output-file build/sbom.json

clean:  ## Remove the virtual environment and caches
	rm -rf .venv .venv-conformance build .mypy_cache .ruff_cache .pytest_cache .hypothesis
