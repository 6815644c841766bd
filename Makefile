# One command each; `make` alone lists them. Everything runs from .venv, which `make install` builds and keeps up to date.
.DEFAULT_GOAL := help
.PHONY: help install demo try test test-unit trials lint bench docs clean

BACKEND ?= docker
PYTEST = .venv/bin/python -m pytest
# One worker takes all tests of one live backend, the others share the rest.
PARALLEL = -n 2 --dist loadgroup

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

install: ## .venv with interlink-plugin and every plugin, editable
	@scripts/install.sh

demo: install ## three pods, run for real on a Docker engine
	@.venv/bin/python -m scripts.demo

try: install ## serve a backend on .run/BACKEND.sock until Ctrl-C (BACKEND=docker, kueue, htcondor or arc)
	@.venv/bin/python -m scripts.try_backend $(BACKEND)

test: install ## everything but the trials, test servers included (on Debian as root it installs them); PARTS="docker arc" for some
	@.venv/bin/python -m scripts.suite $(PARTS)

test-unit: install ## what needs no server, in under a minute
	@REQUIRE_BACKENDS= $(PYTEST) $(PARALLEL) -m "not live and not e2e and not slow"

trials: install ## hundreds of pods at once on each backend's test server; on a machine that does nothing else
	@.venv/bin/python -m scripts.suite trials

lint: install ## ruff, mypy, import-linter
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: install ## measure; results into benchmarks/ and docs/benchmarks.md
	.venv/bin/python -m benchmarks.run

docs: install ## the documentation, into site/
	.venv/bin/mkdocs build --strict

clean: ## removes what the commands above made in this folder
	rm -rf .venv .run .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache site build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
