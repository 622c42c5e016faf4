# Everything here works in a fresh clone. Another interpreter: make run PYTHON=python3.12

PYTHON ?= python3
export PYTHON
# Each start of the bot would compile all its modules again.
export PYTHONDONTWRITEBYTECODE :=
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test test-docker test-k8s lint roads bench clean system venv dev compared

help:
	@echo "make run     install what is needed, once, and start Bullpen in this terminal"
	@echo "make test    every check and every test (ARGS='-k words' for some)"
	@echo "make test-docker  the tests of Docker alone, on an engine of their own"
	@echo "make test-k8s  the tests of Kubernetes alone, on a cluster built once"
	@echo "make lint    style, types and walls alone"
	@echo "make roads   walk the main roads as a user would, and print what a user sees"
	@echo "make bench   measure"
	@echo "make clean   remove .venv and caches; your data stays"

run: venv
	@exec .venv/bin/bullpen up $(ARGS)

test: system dev
	@if [ -f .tools/env ]; then . ./.tools/env; fi; \
	.venv/bin/python -m pytest -q -n auto --dist worksteal $(ARGS)

test-docker: dev
	@scripts/docker_ground.sh
	@.venv/bin/python -m pytest -q -k docker $(ARGS) tests/contracts/test_sandbox_contract.py \
		tests/contracts/test_docker_remote.py tests/faults \
		tests/flows/test_docker_flow.py tests/flows/test_docker_remote_flow.py

test-k8s: system dev
	@.venv/bin/python -m pytest -q $(ARGS) tests/contracts/test_kubernetes.py tests/faults/test_kubernetes.py \
		tests/faults/test_kubernetes_scripted.py \
		tests/faults/test_carrier.py tests/flows/test_kubernetes_flow.py

lint: dev
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --check --quiet bot core site_gen config
	@.venv/bin/mypy --no-error-summary
	@.venv/bin/lint-imports --no-logo

roads: dev
	@.venv/bin/python scripts/roads.py $(ARGS)

bench: compared
	@for script in benchmarks/[!_]*.py; do .venv/bin/python "$$script" || exit 1; done

clean:
	@rm -rf .venv .tools build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find bot core site_gen config tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

system:
	@scripts/system.sh
	@scripts/tools.sh
	@scripts/k8s_ground.sh
	@scripts/docker_ground.sh

venv:
	@scripts/venv.sh run

dev:
	@scripts/venv.sh dev

compared:
	@scripts/venv.sh bench
