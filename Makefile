# The build's entry points. `make` alone lists them.

SHELL := bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PY := .venv/bin/python
STAMP := .venv/.up-to-date
PACKAGES := contracts chassis services/channel-connector services/sales-processor \
	services/inventory cli deploy/local deploy/quickbooks-sandbox
PROJECTS := $(addsuffix /pyproject.toml,$(PACKAGES))
DATA ?= .salesync
ARGS ?=

# Set PYTHON to use a certain interpreter; otherwise the first of these that is 3.11 or newer.
PYTHON ?=
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3 python3.13 python3.12 python3.11 python3.14)

.PHONY: help setup demo test soak check ci up down bench bench-connector bench-verify bench-recost lock format clean

help: ## list these targets
	@echo "make demo and make test are all you need on a fresh machine. All targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: $(STAMP) ## make .venv with everything, the salesync command and Kafka's jars included

$(STAMP): requirements.lock $(PROJECTS) deploy/setup_venv.py deploy/local/src/local_stack/kafka-jars.lock
	@for candidate in $(CANDIDATES); do \
		if $$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
			2>/dev/null; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "setup: no Python 3.11 or newer with its venv module was found (tried: $(CANDIDATES))." \
			"Install one, or name it: make setup PYTHON=/path/to/python3.12" >&2; \
		exit 1; \
	fi; \
	$$found deploy/setup_venv.py
	@touch $@

demo: setup ## start everything, tell the story of a sync, stop everything
	@$(PY) -m salesync.demo $(ARGS)

test: setup ## run every test on a real Kafka and Postgres (ARGS="-k lots" for some)
	@$(PY) -m pytest $(ARGS)

soak: setup ## tell 2,000 random stories to running services (ARGS="--runs N --minutes M --seed S")
	@$(PY) -m tests.system.histories.soak $(ARGS)

check: setup ## look for faults without running: format, lint, types, import rules
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy $(addsuffix /src,$(PACKAGES)) deploy/*.py
	@set -e; for package in $(PACKAGES) .; do \
		if [ -d $$package/tests ]; then echo "types of $$package/tests"; \
			$(PY) -m mypy $$package/tests; fi; \
	done
	@$(PY) -m pytest -q tests/architecture

ci: check test ## what the build server runs: check, then test

up: setup ## start the system and leave it running (state in DATA, .salesync by default)
	@.venv/bin/salesync up --detach --data $(DATA) $(ARGS)

down: setup ## stop what `make up` started
	@.venv/bin/salesync down --data $(DATA)

bench: setup ## measure sales per second beside the floor of the same rows by COPY
	@$(PY) tests/performance/bench.py $(ARGS)

bench-connector: setup ## measure a first sync of 10,000 invoices, idle ones, and webhooks
	@$(PY) services/channel-connector/tests/performance/bench.py $(ARGS)

bench-recost: setup ## measure lines a second of running a product's costs again, in memory
	@$(PY) tests/performance/inventory_recost.py $(ARGS)

bench-verify: setup ## measure verify on 1,000,000 sale lines (ARGS="--lines 100000" for fewer)
	@$(PY) tests/performance/verify.py $(ARGS)

lock: setup ## compile requirements.lock and kafka-jars.lock anew
	@$(PY) -m uv --version >/dev/null 2>&1 || $(PY) -m pip install --quiet uv
	@$(PY) deploy/compile_lock.py
	@$(PY) -m local_stack lock

format: setup ## format the code and mend what ruff can mend
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

clean: ## remove .venv and caches; running systems and their data are left alone
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
