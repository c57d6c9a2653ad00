# AxonOS: `make help` lists the targets.
.DEFAULT_GOAL := help
.PHONY: help up down status doctor test test-clients check format lock bench image clean

PYTHON ?= python3
VENV := .venv
# What to hand to the command line: make up ARGS="--state /srv/axonos --gpus 4"
ARGS ?=
# Only these tests: make test TESTS=tests/unit
TESTS ?=

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## Stand the platform up on this machine (root or sudo), then check its main job
	@$(PYTHON) infra/bootstrap.py up $(ARGS)

down: ## Stop the platform; ARGS=--purge removes everything it made (asks first)
	@$(PYTHON) infra/bootstrap.py down $(ARGS)

status: ## What runs, who waits, how many GPUs are free
	@$(PYTHON) infra/bootstrap.py status $(ARGS)

doctor: ## Check this machine and the platform, with what to do about each problem
	@$(PYTHON) infra/bootstrap.py doctor $(ARGS)

image: ## Rebuild the desktop image, verify it, compare the digests
	@$(PYTHON) infra/bootstrap.py image ci $(ARGS)

bench: ## Measure the running platform beside its peers
	@$(PYTHON) infra/bootstrap.py bench all $(ARGS)

test: ## Install what the tests need and run every test
	@$(PYTHON) tests/run.py $(TESTS)

test-clients: ## Also x402 clients of npm, unmodified, against the running platform
	@$(PYTHON) tests/run.py tests/clients/npm_clients.py

check: $(VENV)/.made ## Lint, types, playbooks, import arrows and locks
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/yamllint --strict .
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" ANSIBLE_CONFIG=playbooks/ansible.cfg $(VENV)/bin/ansible-lint --offline --strict playbooks
	$(VENV)/bin/pytest -q -p no:cacheprovider tests/unit/test_structure.py

format: $(VENV)/.made ## Format the code and mend what can be mended
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

lock: ## Write the lock files anew from pyproject.toml (needs uv)
	uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url -o requirements.lock
	uv pip compile -q pyproject.toml --group test --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url -c requirements.lock -o requirements-test.lock

clean: ## Remove what tests and checks left in this folder
	rm -rf $(VENV) .build .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/.out

$(VENV)/.made: requirements-test.lock pyproject.toml
	@$(PYTHON) tests/run.py --prepare-only
