# The interface of the repository for people and for CI. `make help` lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WORKERS ?= 4
PEERDB_TRANSCRIPTS ?=
export PEERDB_TRANSCRIPTS
export PYTHONPATH := operator:.
# Every run starts hundreds of Pythons: without bytecode on file each of them compiles all modules anew.
export PYTHONDONTWRITEBYTECODE :=
# Programs in Go live for moments here: they need not collect their garbage often.
export GOGC ?= 400

# A pin keeps its extras: pip counts coverage[toml] and coverage as two requirements, and tries a newer release of the one that has no pin.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-header --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements-dev.lock pyproject.toml
	@if [ -z "$(PYTHON)" ]; then
		echo "Python 3.11 or newer is needed: install it, or name it with make PYTHON=/path/to/python3" >&2; exit 1
	fi
	@echo "Setting up $(VENV) from requirements-dev.lock (about half a minute, once)" >&2
	@[ -x $(BIN)/python ] || "$(PYTHON)" -m venv $(VENV) || { echo "no virtual environment could be made: install Python's venv module (on Debian: python3-venv)" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
	@touch $@

.PHONY: setup
setup: $(READY) ## Install the pinned tools and dependencies into .venv

.PHONY: demo
demo: $(READY) ## Show it: control plane, PeerDB (simulated, or PEERDB_URL= MIRROR=), operator, sample Mirrors
	@$(BIN)/python -m tests.harness.demo $(if $(PEERDB_URL),--peerdb-url "$(PEERDB_URL)") $(if $(MIRROR),--mirror "$(MIRROR)") $(if $(YES),--yes)

.PHONY: test
test: check pytest ## Everything that has to hold: checks and all tests

.PHONY: pytest
pytest: $(READY) $(if $(KUBECONFIG),,control-plane) tools ## All tests, with coverage
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m pytest tests -n $(WORKERS) --dist loadgroup -q --cov --cov-report= -p tests.harness.coverage_gates -p tests.harness.identity_gate

.PHONY: check
check: $(READY) ## Format, lint, types, import layers, generated files, YAML, shell
	@$(BIN)/ruff format --check --quiet . || { echo "unformatted files: run make format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@told=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$told" >&2; exit 1; }
	@$(BIN)/python -m tests.harness.crdgen | cmp -s - crds/mirrors.peerdb.io.yaml || { echo "crds/ is stale: run make generate" >&2; exit 1; }
	@$(BIN)/python -m tests.harness.docs | cmp -s - docs/reference.md || { echo "docs/reference.md is stale: run make generate" >&2; exit 1; }
	@$(BIN)/python -m tests.harness.docs.schema | cmp -s - docs/schema/mirror_v1alpha1.json || { echo "docs/schema/ is stale: run make generate" >&2; exit 1; }
	@$(BIN)/python -m tests.harness.chart --check
	@$(BIN)/yamllint --strict .
	@git ls-files -z '*.sh' .ci/run | xargs -0 $(BIN)/shellcheck

.PHONY: format
format: $(READY) ## Format the code and repair what the linter can
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

.PHONY: generate
generate: $(READY) ## Write the generated files: CRD, reference, JSON Schema, the chart's copies, Argo CD's ConfigMaps
	@$(BIN)/python -m tests.harness.crdgen > crds/.new && mv crds/.new crds/mirrors.peerdb.io.yaml
	@$(BIN)/python -m tests.harness.docs > docs/.new && mv docs/.new docs/reference.md
	@$(BIN)/python -m tests.harness.docs.schema > docs/schema/.new && mv docs/schema/.new docs/schema/mirror_v1alpha1.json
	@$(BIN)/python -m tests.harness.chart
	@$(BIN)/python -m tests.harness.gitops

.PHONY: fixtures
fixtures: $(READY) control-plane tools ## Dump Mirrors in every state from real runs, for the tests of the health scripts; render the account of the demo
	@$(BIN)/python -m tests.harness.identity_on_file
	@PEERDB_RENEW_FIXTURES=1 $(BIN)/python -m pytest tests/e2e/test_gitops_fixtures.py -q
	@$(BIN)/python -m tests.harness.gitops

.PHONY: control-plane
control-plane: $(READY) ## Build kube-apiserver, etcd, kubectl and the controller manager into the cache (some minutes, once)
	@$(BIN)/python -m tests.harness.controlplane --build-only --with-controller-manager

.PHONY: tools
tools: $(READY) ## Build helm and promtool into the cache (some minutes, once); HELM= and PROMTOOL= name others
	@$(BIN)/python -m tests.harness.gotools

.PHONY: unit
unit: $(READY) ## Only the unit tests
	@$(BIN)/python -m pytest tests/unit -n $(WORKERS) -q

.PHONY: e2e
e2e: $(READY) $(if $(KUBECONFIG),,control-plane) tools ## Only the tests on the real API server
	@$(BIN)/python -m pytest tests -m e2e -n $(WORKERS) --dist loadgroup -q -p tests.harness.identity_gate

.PHONY: replay
replay: $(READY) ## Play the recordings in PEERDB_TRANSCRIPTS against the simulator
	@ls "$(PEERDB_TRANSCRIPTS)"/*.jsonl >/dev/null 2>&1 || { echo "name a folder of recordings: make replay PEERDB_TRANSCRIPTS=/path/to/them" >&2; exit 1; }
	@$(BIN)/python -m tests.harness.replay "$(PEERDB_TRANSCRIPTS)"/*.jsonl

.PHONY: soak
soak: $(READY) ## 20,000 random programs against the invariants
	@PEERDB_PROGRAMS=20000 $(BIN)/python -m pytest tests/properties -q --timeout 0

.PHONY: mutants
mutants: $(READY) ## Seed defects into planner, deletion and journal; the tests must catch every one
	@$(BIN)/python -m tests.properties.mutants

.PHONY: bench
bench: $(READY) $(if $(KUBECONFIG),,control-plane) ## Measure latency, memory and a burst of edits; writes docs/performance.md
	@$(BIN)/python -m tests.bench

.PHONY: image
image: ## Build the container image with docker, podman or buildah; IMAGE=, BUILDER= and BASE= choose
	@version=$$(.github/scripts/version.sh)
	builder=
	for each in $(or $(BUILDER),docker podman buildah); do
		if command -v "$$each" >/dev/null && "$$each" info >/dev/null 2>&1; then builder=$$each; break; fi
	done
	if [ -z "$$builder" ]; then
		echo "no container builder works here: install docker, podman or buildah (and start docker's engine), or name another with make image BUILDER=" >&2; exit 1
	fi
	labels=("revision=$$(git rev-parse HEAD 2>/dev/null || echo unknown)" "created=$$(date --utc +%Y-%m-%dT%H:%M:%SZ)")
	source=$$(git remote get-url origin 2>/dev/null | sed -E 's#^[^/@]+@([^:/]+):#https://\1/#; s#^(https|ssh)://([^/@]*@)?#https://#; s#\.git$$##' || true)
	case $$source in https://*) labels+=("source=$$source") ;; esac
	$(if $(BASE),base="$(BASE)"; digest=$${base#*@}; [ "$$digest" != "$$base" ] || digest=; labels+=("base.digest=$$digest"))
	"$$builder" build --tag "$(or $(IMAGE),peerdb-operator):$$version" --build-arg "VERSION=$$version" $(if $(BASE),--build-arg "BASE=$(BASE)") \
		"$${labels[@]/#/--label=org.opencontainers.image.}" .

.PHONY: lock
lock: $(READY) ## Pin all dependencies, with hashes; what is pinned stays unless UPGRADE=1
	@$(COMPILE) pyproject.toml --extra tracing -o requirements.lock
	@$(COMPILE) pyproject.toml --extra tracing --group dev -o requirements-dev.lock
	@$(COMPILE) --group go -o requirements-go.lock
	@$(COMPILE) --group build -o requirements-build.lock

.PHONY: clean
clean: ## Remove what is made inside the tree (the cache outside it stays)
	@rm -rf $(VENV) .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache dist build
