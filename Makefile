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
