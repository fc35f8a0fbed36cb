# make demo   the main job on real photographs against a local simulated Gemini; no key, no network
# make test   the tests
# make check  format, lint, types, layers and tests
# make package  builds sdist and wheel, installs the wheel into an empty environment and runs it from there
# make lowest   fast tests on the lowest versions of dependencies that pyproject.toml allows
# make fuzz   the random search that `make test` leaves out; what it finds becomes an example of a test

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FUZZ_SECONDS ?= 600
FUZZ_EXAMPLES ?= 5000
DEV_STAMP := $(VENV)/.installed-dev
PACKAGE := build/package
LOWEST := build/lowest
LOWEST_TESTS ?= tests/cli tests/datasets tests/models tests/scoring tests/storage

.PHONY: demo test check format lint types package lowest fuzz clean

demo: $(STAMP)
	$(BIN)/evalkit run configs/demo.yaml --yes

test: $(DEV_STAMP)
	$(BIN)/python -m pytest -n 2 --dist=loadfile --no-loadscope-reorder

check: format lint types test

format: $(DEV_STAMP)
	$(BIN)/ruff format --check .

lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/vulture

types: $(DEV_STAMP)
	$(BIN)/mypy

package: $(DEV_STAMP)
	rm -rf dist $(PACKAGE)
	$(BIN)/uv build --quiet
	$(BIN)/uv venv --quiet --python $(BIN)/python $(PACKAGE)/venv
	$(BIN)/uv pip install --quiet --python $(PACKAGE)/venv/bin/python dist/*.whl
	cp configs/demo.yaml $(PACKAGE)
	cd $(PACKAGE) && venv/bin/evalkit --version
	cd $(PACKAGE) && venv/bin/evalkit run demo.yaml --limit 2 --yes

lowest: $(DEV_STAMP)
	rm -rf $(LOWEST)
	$(BIN)/uv venv --quiet --python $(BIN)/python $(LOWEST)/venv
	$(BIN)/uv pip compile --quiet --python $(BIN)/python --resolution lowest-direct --output-file $(LOWEST)/requirements.txt pyproject.toml
	$(BIN)/uv pip install --quiet --python $(LOWEST)/venv/bin/python --requirements $(LOWEST)/requirements.txt --editable . --group test
	$(LOWEST)/venv/bin/python -m pytest -n 2 --dist=loadfile $(LOWEST_TESTS)

fuzz: $(DEV_STAMP)
	EVALKIT_HYPOTHESIS_PROFILE=fuzz FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest -n 2 --dist=loadfile -m hypothesis
	$(BIN)/python tests/fuzz/fuzz_decode.py -max_total_time=$(FUZZ_SECONDS)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "evalkit needs Python 3.11 or newer; this is %d.%d. Try: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

$(STAMP): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(DEV_STAMP): pyproject.toml $(STAMP)
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache
