# Every target is one thing that CI does too. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
UV := .cache/bin/uv
export UV_PYTHON_DOWNLOADS := never
RUN := $(UV) run --frozen --quiet
FETCH := $(RUN) python -m tools.fetch
OUT ?= build

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(UV): uv.lock tools/bootstrap.py
	@python3 tools/bootstrap.py $@
	@touch -h $@

.venv: $(UV) pyproject.toml uv.lock
	@$(UV) sync --frozen
	@touch $@
