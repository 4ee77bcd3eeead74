# `make demo` and `make test` are all that a fresh clone needs; ARGS="--port 8010" for flags.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo serve test check fix clean

help: ## list these targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 10

demo: $(VENV)/.run ## install, bring in the demo, open it in the browser
	$(BIN)/dipole demo $(ARGS)

serve: $(VENV)/.run ## web and worker on what the data directory holds
	$(BIN)/dipole serve $(ARGS)

test: $(VENV)/.test ## lint, format check and every test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: $(VENV)/.dev ## lint, format check and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

fix: $(VENV)/.test ## let ruff repair what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the environment and caches; the data directory stays
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Stamps: a second call installs nothing unless the requirements changed.
$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV) (torch is large: a few minutes at the first time)"
	$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV), with the test tools"
	$(PIP_INSTALL) -e ".[test]"
	@touch $@ $(VENV)/.run

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) -e ".[dev]"
	@touch $@ $(VENV)/.test $(VENV)/.run
