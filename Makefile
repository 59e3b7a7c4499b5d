# `make` lists the targets. For GNU make (3.81 or newer) and BSD make.

PORT ?= 8000
PYTHON ?=
ARGS ?=

.PHONY: help demo test build synth emulate emulate-down bench venv fmt lock clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: venv ## a real shop on http://127.0.0.1:8000 (PORT=... for another port)
	@.venv/bin/windowshop demo --port "$(PORT)"

test: venv-dev ## everything that CI checks (ARGS="-k name" goes to pytest)
	@.venv/bin/python tests/checks.py $(ARGS)

build: venv-dev ## the functions' packages for AWS, into dist (ARGS=--host: only those that run here)
	.venv/bin/python -m infra.build $(ARGS)

synth: venv-dev ## the templates of infra/ in cdk.out, checked (ARGS="--deployment NAME")
	.venv/bin/python -m infra.synth $(ARGS)

emulate: venv-dev ## the shop as on AWS, on an emulator, without Docker (ARGS="--port 4567")
	@.venv/bin/python -m localstack.emulate $(ARGS)

emulate-down: ## end it from another terminal
	@.venv/bin/python -m localstack.emulate down

bench: venv-dev ## measure, and write bench/latest.json
	.venv/bin/python -m bench $(ARGS)

venv: ## the environment in .venv (PYTHON=python3.13 for a Python of your choice)
	@PYTHON="$(PYTHON)" requirements/install.sh demo

.PHONY: venv-dev
venv-dev:
	@PYTHON="$(PYTHON)" requirements/install.sh dev

fmt: venv-dev ## format the code and mend what can be mended by itself
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

lock: venv ## pin the dependencies anew (ARGS=--upgrade for the newest versions)
	requirements/lock.sh $(ARGS)

clean: ## remove the environment and caches, but not .windowshop: that is your data
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
