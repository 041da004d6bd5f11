# Everything runs from any directory: `make -C path/to/sluice demo`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

ROOT := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
VENV := $(ROOT)/.venv
PYTHON ?= python3.11
RUN := cd $(ROOT) && $(VENV)/bin
STAMP := $(VENV)/.installed
# `make demo` and `make ui` need neither the tools of development nor a browser.
DEMO_STAMP := $(VENV)/.installed-embedded
# A change of one of these installs the project again.
INSTALLED := $(ROOT)/pyproject.toml $(wildcard $(ROOT)/resources/c_library/*.[ch])
UI_PORT ?= 3000
DOSE ?= full
SEED ?=
BENCH ?=
# Many tests wait for a server: two at a time, each with servers of its own, halve the time of two cores.
WORKERS ?= 2
# Where the time goes, at the end of a long run.
SLOWEST := --durations=20 --durations-min=5
# What `make test-one` runs: a file, or a file and a test ("tests/pipelines/cli/test_help.py::test_name").
T ?=
NEWEST := $(ROOT)/.venv-newest-dagster
# What pyproject.toml asks of Dagster, as pip takes it.
DAGSTER := $(shell sed -nE 's/^    "(dagster[a-z-]*[><=][^"]*)",/\1/p' $(ROOT)/pyproject.toml)
# What touches `pipelines/dagster_private.py`, beside the rules.
ON_DAGSTER := tests/pipelines/orchestration tests/pipelines/webserver/test_serving.py tests/pipelines/webserver/test_served.py
# Whatever calls the compiled library without a server.
SANITIZED := tests/resources/c_library tests/pipelines/encoding/test_generated.py tests/pipelines/encoding/test_boundaries.py \
	tests/pipelines/encoding/test_encoder.py tests/pipelines/encoding/test_forms.py tests/resources/kafka/test_murmur2.py \
	tests/resources/kafka/native/test_records.py \
	tests/resources/kafka/native/test_reader.py tests/pipelines/reconciling/test_content.py

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup hooks demo test acceptance test-fast test-one newest-dagster chaos bench ui down sanitize wheel lint lock clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 17

$(DEMO_STAMP): $(ROOT)/requirements-embedded.lock $(INSTALLED)
	$(call install,requirements-embedded.lock,$@)

# The lock of development has all that the demo needs, in the same versions.
$(STAMP): $(ROOT)/requirements-dev.lock $(INSTALLED)
	$(call install,requirements-dev.lock,$@ $(DEMO_STAMP))

define install
	@command -v $(PYTHON) >/dev/null || { echo "Sluice needs Python 3.11: install it, or name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Sluice needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up .venv from $(1) (about a minute, once) ..."
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --require-hashes -r $(ROOT)/$(1)
	@$(VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation -e $(ROOT)
	@touch $(2)
endef

setup: $(STAMP) ## Virtual environment for development, with the pinned lock

hooks: setup ## Run formatting, types and import rules before each commit (pre-commit)
	@$(RUN)/pre-commit install

demo: $(DEMO_STAMP) ## Publish one week of every sample event, from nothing
	@$(RUN)/sluice demo

test: setup ## Every rule, and one case for each kind of server; starts the servers itself (what CI runs)
	@$(RUN)/python -m pytest -n $(WORKERS) $(SLOWEST)

acceptance: setup ## `make test` and the rest of the matrix: every broker, registry and warehouse, every slow case
	@$(RUN)/python -m pytest -n $(WORKERS) --matrix $(SLOWEST)

test-fast: setup ## The rules alone, without a server, in a minute
	@$(RUN)/python -m pytest -n $(WORKERS) -q --fast

test-one: setup ## One file or test with all its cases: make test-one T=tests/pipelines/cli/test_help.py
	@test -n "$(T)" || { echo "make test-one: T is not set; next: make test-one T=tests/pipelines/cli/test_help.py"; exit 2; }
	@$(RUN)/python -m pytest --matrix "$(T)"

newest-dagster: ## The rules and the orchestration on the newest Dagster that pyproject.toml allows, in .venv-newest-dagster
	@test -x $(NEWEST)/bin/python || $(PYTHON) -m venv $(NEWEST)
	@$(NEWEST)/bin/python -m pip install --quiet --require-hashes -r $(ROOT)/requirements-dev.lock
	@$(NEWEST)/bin/python -m pip install --quiet --no-deps --no-build-isolation -e $(ROOT)
	@$(NEWEST)/bin/python -m pip install --quiet --upgrade $(patsubst %,'%',$(DAGSTER))
	@cd $(ROOT) && $(NEWEST)/bin/python -m tests.dagster_interfaces
	@cd $(ROOT) && $(NEWEST)/bin/python -m pytest -n $(WORKERS) -q --fast
	@cd $(ROOT) && $(NEWEST)/bin/python -m pytest -n $(WORKERS) -q $(ON_DAGSTER)

chaos: setup ## Break everything on purpose, and judge what consumers see (DOSE=small for minutes, SEED=n to repeat)
	@$(RUN)/python -m tests.chaos --dose $(DOSE) $(if $(SEED),--seed $(SEED)) --report chaos.md

bench: setup ## Sluice beside hand-written publishers, peers and raw librdkafka on one real Kafka (BENCH="--scale 1")
	@$(RUN)/python -m benchmarks.compare $(BENCH)

ui: $(DEMO_STAMP) ## Dagster's web server and daemon on this project
	@$(RUN)/sluice ui --port $(UI_PORT)

down: ## Stop the servers that `make demo` or `sluice up` started
	@test ! -x $(VENV)/bin/sluice || { $(RUN)/sluice down; }

sanitize: setup ## The compiled library's tests under gcc's sanitizers, after a change of it
	@gcc -shared -fPIC -g -O1 -std=gnu11 -Wall -Wextra -fsanitize=address,undefined -fno-sanitize-recover=undefined \
		$(ROOT)/resources/c_library/*.c -o $(VENV)/compiled-sanitized.so
	@cd $(ROOT) && env SLUICE_COMPILED=$(VENV)/compiled-sanitized.so ARROW_DEFAULT_MEMORY_POOL=system \
		ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
		$(VENV)/bin/python -m pytest -q $(SANITIZED)

wheel: ## A wheel with the compiled library for this Linux, in dist/, tried in an empty environment
	@PYTHON="$(PYTHON)" $(ROOT)/.ci/wheel.sh

lint: setup ## Formatting, types and import rules
	@$(RUN)/ruff check .
	@$(RUN)/ruff format --check .
	@$(RUN)/mypy
	@$(RUN)/lint-imports

lock: ## Pin the newest allowed dependencies (needs uv): requirements-dev.lock, and parts of it
	@$(call compile,dev,--all-extras --upgrade)
	@$(call compile,embedded,--extra embedded --extra build --constraint requirements-dev.lock --upgrade)
	@$(call compile,postgresql,--extra postgresql --constraint requirements-dev.lock --upgrade)
	@$(call compile,,--constraint requirements-dev.lock --upgrade)

# Of one lock file: its name, and which extras.
compile = cd $(ROOT) && uv pip compile pyproject.toml $(2) --universal --no-strip-extras --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --quiet --output-file requirements$(if $(1),-$(1)).lock

clean: down ## Remove the virtual environment and all local state
	@rm -rf $(VENV) $(NEWEST) $(ROOT)/.sluice
