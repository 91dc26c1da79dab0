# toe: every habit is a target. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -X utf8

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The virtual environment: made again when the locked requirements change.
$(VENV)/ready: requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "toe needs Python 3.11 or later; this is $$($(PYTHON) -V)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "installing Debian packages: python3-venv"; apt-get update -qq; apt-get install -qq -y python3-venv >/dev/null; }
	@echo "making $(VENV) with the locked requirements"
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install -q --disable-pip-version-check --no-build-isolation --no-deps --no-index -e .
	@touch $@

.PHONY: venv
venv: $(VENV)/ready

.PHONY: cluster
cluster: venv ## start a real one-node Kubernetes
	@$(RUN) -m devcluster up

.PHONY: cluster-down
cluster-down: venv ## stop it and remove everything it made
	@$(RUN) -m devcluster down

.PHONY: kubeconfig
kubeconfig: venv ## print the path of its kubeconfig (use make -s)
	@$(RUN) -m devcluster kubeconfig

.PHONY: demo
demo: venv ## a cluster, a shop under load, its flame graph and a packet capture
	@$(RUN) -m examples.shop.demo

.PHONY: test
test: venv ## everything: pure rules, a real API server, a real node, the supervisor
	@$(RUN) -m devcluster build
	@$(RUN) -m tools.images >/dev/null
	@$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache
	@$(RUN) -m tests.parts

.PHONY: check
check: venv ## format, lint, types, contracts, pure tests, drift: under a minute, no cluster
	@$(BIN)/ruff format --check -q . || { echo "run: make fix"; exit 1; }
	@$(BIN)/ruff check -q .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache
	@$(BIN)/pytest -q -m "not cluster and not node and not process"

.PHONY: fix
fix: venv ## format and mend what lint can mend
	@$(BIN)/ruff format -q .
	@$(BIN)/ruff check -q --fix .

.PHONY: generate
generate: venv ## write what is made from types: CRDs, reference pages
	@$(RUN) -m charts.generate
	@$(RUN) -m docs.generate

.PHONY: test-kubernetes
test-kubernetes: venv ## the API server's tests on another version (VERSION=1.37.2), built on demand
	@$(RUN) -m tests.versions $(VERSION)

.PHONY: test-alerts
test-alerts: venv ## when the alerts fire, by Prometheus' own promtool, built on demand
	@$(RUN) -m devcluster build --promtool
	@$(BIN)/pytest -q tests/charts/test_monitoring.py

.PHONY: manifests
manifests: venv ## write deploy/install.yaml, for people without Helm (WITH="--set image.repository=...")
	@$(RUN) -m charts.manifests $(WITH)

.PHONY: bench
bench: venv ## the controller beside a client without logic that sends the same writes
	@$(RUN) -m bench.controller

.PHONY: golden
golden: venv ## write the golden plans anew; read the diff before you commit it
	@$(RUN) -m tests.golden
