# Everything runs from any directory: `make -C path/to/sluice demo`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

ROOT := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
VENV := $(ROOT)/.venv
PYTHON ?= python3.11
RUN := cd $(ROOT) && $(VENV)/bin
STAMP := $(VENV)/.installed
UI_PORT ?= 3000
DOSE ?= full
SEED ?=
BENCH ?=
# Many tests wait for a server: two at a time, each with servers of its own, halve the time of two cores.
WORKERS ?= 2
# Whatever calls the compiled library without a server.
SANITIZED := tests/resources/compiled tests/pipelines/encoding/test_generated.py tests/pipelines/encoding/test_boundaries.py \
	tests/pipelines/encoding/test_encoder.py tests/pipelines/encoding/test_forms.py tests/resources/kafka/test_murmur2.py \
	tests/resources/kafka/test_native_records.py \
	tests/resources/kafka/test_native_reader.py tests/pipelines/reconciling/test_content.py

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo test chaos bench ui down sanitize lint lock clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(STAMP): $(ROOT)/requirements.lock $(ROOT)/pyproject.toml $(wildcard $(ROOT)/resources/compiled/*.[ch])
	@command -v $(PYTHON) >/dev/null || { echo "Sluice needs Python 3.11: install it, or name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Sluice needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up .venv from requirements.lock (about a minute, once) ..."
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --require-hashes -r $(ROOT)/requirements.lock
	@$(VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation -e $(ROOT)
	@touch $@

setup: $(STAMP) ## Virtual environment with the pinned lock

demo: setup ## Publish one week of every sample event, from nothing
	@$(RUN)/sluice demo

test: setup ## Every test this machine can run; starts the real servers itself
	@$(RUN)/python -m pytest -n $(WORKERS)

chaos: setup ## Break everything on purpose, and judge what consumers see (DOSE=small for minutes, SEED=n to repeat)
	@$(RUN)/python -m tests.chaos --dose $(DOSE) $(if $(SEED),--seed $(SEED)) --report chaos.md

bench: setup ## Sluice beside hand-written publishers, peers and raw librdkafka on one real Kafka (BENCH="--scale 1")
	@$(RUN)/python -m benchmarks.compare $(BENCH)

ui: setup ## Dagster's web server and daemon on this project
	@$(RUN)/sluice ui --port $(UI_PORT)

down: ## Stop the servers that `make demo` or `sluice up` started
	@test ! -x $(VENV)/bin/sluice || { $(RUN)/sluice down; }

sanitize: setup ## The compiled library's tests under gcc's sanitizers, after a change of it
	@gcc -shared -fPIC -g -O1 -std=gnu11 -Wall -Wextra -fsanitize=address,undefined -fno-sanitize-recover=undefined \
		$(ROOT)/resources/compiled/*.c -o $(VENV)/compiled-sanitized.so
	@cd $(ROOT) && env SLUICE_COMPILED=$(VENV)/compiled-sanitized.so ARROW_DEFAULT_MEMORY_POOL=system \
		ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
		$(VENV)/bin/python -m pytest -q $(SANITIZED)

lint: setup ## Formatting, types and import rules
	@$(RUN)/ruff check .
	@$(RUN)/ruff format --check .
	@$(RUN)/mypy
	@$(RUN)/lint-imports

lock: ## Pin the newest allowed dependencies (needs uv)
	@cd $(ROOT) && uv pip compile pyproject.toml --all-extras --universal --no-strip-extras --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --upgrade --quiet --output-file requirements.lock

clean: down ## Remove the virtual environment and all local state
	@rm -rf $(VENV) $(ROOT)/.sluice
