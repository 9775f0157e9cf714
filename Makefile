# `make demo` and `make test` do all the set-up: the virtual environment is created on first use.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RIVALS := $(VENV)/.rivals-installed
FUZZER := $(VENV)/.fuzzer-installed
DEMO_ARGS ?=
PART ?=
TEST_ARGS ?=
NAMES ?=
VERSIONS ?=
# Two more than CI has cores: tests wait for pages, processes and deadlines.
TEST_PROCESSES ?= 4

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-slow coverage check docs docs-pictures bench drills ecosystem platforms rehearse lock clean

help:
	@echo "make demo    Toronto from download to a served forecast (DEMO_ARGS='--no-serve' ends after the table)"
	@echo "make test    the tests, against a real PostgreSQL (under 8 minutes)"
	@echo "make test-slow the other tests: the page in Chromium, whole services, long fits (17 minutes)"
	@echo "make coverage the tests of make test with coverage, which may not fall (as CI runs them)"
	@echo "make check   ruff, mypy, import-linter, language, documentation, deployment files, licences, pip-audit"
	@echo "make docs    the documentation site in build/site, links checked"
	@echo "make docs-pictures the pictures of the tutorials anew, of the real service in Chromium (minutes)"
	@echo "make bench   benchmarks; PART=flows-speed for one"
	@echo "make drills  the full table of faults and abuse"
	@echo "make ecosystem the service with QGIS, GDAL, OWSLib, R, nginx, mail and webhooks, as far as they are installed"
	@echo "make platforms the tests that use the database on PostgreSQL 14 to 18 (VERSIONS='14 18' for some; needs npm)"
	@echo "make rehearse run Dockerfile and compose file without a container engine (root)"
	@echo "make lock    rewrite the lock files from pyproject.toml"

venv: $(STAMP)

$(STAMP): requirements.lock requirements-cuda.lock pyproject.toml client/pyproject.toml .ci/install
	PYTHON="$(PYTHON)" VENV="$(VENV)" .ci/install
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/hotslot demo $(DEMO_ARGS)

PYTEST = $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

# Coverage takes a fifth more time; CI asks for it.
test: $(STAMP)
	$(PYTEST) -m "not slow" $(if $(HOTSLOT_TESTS_COVERAGE),--cov --cov-report=$(COVERAGE_REPORT)) $(TEST_ARGS)

test-slow: $(STAMP)
	$(PYTEST) -m slow $(TEST_ARGS)

coverage:
	HOTSLOT_TESTS_COVERAGE=1 $(MAKE) test COVERAGE_REPORT=term

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q

# NAMES='plan why' makes only those.
docs-pictures: $(STAMP)
	$(BIN)/python -m tests.pictures $(NAMES)

check: $(STAMP) docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/dialect
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/hadolint Dockerfile
	.ci/check-page
	$(BIN)/python .ci/supply_chain.py
	VENV="$(VENV)" .ci/audit

bench: $(STAMP) $(RIVALS)
	$(BIN)/python -m benchmarks $(PART)

$(RIVALS): $(STAMP) requirements-bench.lock
	$(BIN)/python -m pip install -q --no-deps --require-hashes -r requirements-bench.lock || \
	  echo "nflows and normflows are not available here: their columns stay empty"
	@touch $(RIVALS)

drills: $(STAMP) $(FUZZER)
	$(BIN)/python -m tests.resilience

$(FUZZER): $(STAMP) requirements-fuzz.lock
	$(BIN)/python -m pip install -q --no-deps --require-hashes -r requirements-fuzz.lock || \
	  echo "atheris is not available here: the parsers are fuzzed by mutation only"
	@touch $(FUZZER)

ecosystem: $(STAMP)
	HOTSLOT_ECOSYSTEM=1 $(BIN)/python -m pytest tests/ecosystem $(TEST_ARGS)

platforms: $(STAMP)
	$(BIN)/python -m tests.platforms $(VERSIONS)

rehearse: $(STAMP)
	$(BIN)/python -m tests.rehearsal

lock:
	.ci/lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
