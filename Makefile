# Every target is something that CI does too. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
UV := .cache/bin/uv
# The machine's own Python is enough; without this uv would fetch another one from elsewhere.
export UV_PYTHON_DOWNLOADS := never
# Trust what the machine trusts: many a company has a proxy with a certificate of its own.
export UV_SYSTEM_CERTS ?= true
RUN := $(UV) run --frozen
PYTEST := $(RUN) pytest
OUT ?= build

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(UV): tools/bootstrap.py uv.lock
	@python3 tools/bootstrap.py $@

.venv: $(UV) pyproject.toml uv.lock
	@echo '[tools] installing the Python packages of uv.lock into .venv' >&2
	@$(UV) sync --frozen --quiet
	@touch $@

.PHONY: out
out:
	@mkdir -p '$(OUT)' && test -w '$(OUT)' || { echo 'OUT=$(OUT): no folder can be written there' >&2; exit 1; }

.PHONY: new
new: out .venv ## Ask the questions and generate a repository into OUT (default: build)
	@$(RUN) cookiecutter --output-dir '$(OUT)' .

.PHONY: example
example: out .venv ## Generate a repository with the default answers into OUT (default: build)
	@$(RUN) cookiecutter --no-input --output-dir '$(OUT)' .

.PHONY: tools
tools: .venv ## Get the pinned programs that the tests run
	$(RUN) python -m tools.fetch
	$(RUN) python -m tools.schemas
	$(RUN) python -c 'from tools import load; load.install()'

.PHONY: tools-all
tools-all: tools ## Get those with builds of many minutes too
	$(RUN) python -m tools.fetch --big

.PHONY: test
test: tools ## Rendering, static, contract and running proof
	$(PYTEST) -n 2 --dist worksteal -m 'not big and not long and not live and not matrix'

.PHONY: test-fast
test-fast: .venv ## What needs no generated service to be installed
	$(PYTEST) -n auto --dist loadgroup -m 'not slow and not image and not big and not long and not live and not matrix'

.PHONY: test-big
test-big: tools-all ## What `make test` leaves out: it needs builds of many minutes
	$(PYTEST) -n 2 --dist loadfile -m big

.PHONY: test-long
test-long: tools ## The release with its scanner, and every alert rehearsed; ten minutes more
	$(RUN) python -m tools.fetch --long
	$(PYTEST) -n 2 --dist loadfile -m long

.PHONY: matrix
matrix: tools ## All checks of a generated repository, for every combination of answers (ONLY=...: one)
	$(PYTEST) -n 2 -m matrix 'tests/matrix/test_matrix.py$(if $(ONLY),::test_a_combination_passes_its_checks[$(ONLY)])'

.PHONY: live
live: .venv ## One push through the whole chain, in a real cluster of one node (Linux, root; SET=canary)
	PYTHONPATH=tests:. $(RUN) python -m live --set $(or $(SET),helm)

.PHONY: live-scale
live-scale: .venv ## Argo CD brings fifty-one services to a real API server; its memory (Linux, root)
	PYTHONPATH=tests:. $(RUN) python -m live.scale

.PHONY: test-live
test-live: .venv ## The same as a test
	$(PYTEST) -n 0 -m live

.PHONY: test-all
test-all: test test-big matrix test-long ## Everything

.PHONY: format
format: .venv ## Format the Python code and mend what ruff can
	$(RUN) ruff format
	$(RUN) ruff check --fix

.PHONY: examples
examples: .venv ## Generate the repositories below examples/ anew
	$(RUN) python -m tools.examples

.PHONY: docs
docs: .venv ## Build the documentation site into build/docs/site; a warning ends it
	$(RUN) python -m tools.docs

.PHONY: docs-serve
docs-serve: .venv ## Show the site on this machine (PORT=8000), anew after each change
	PORT=$(or $(PORT),8000) $(RUN) python -m tools.docs --serve

.PHONY: bench
bench: tools ## Measure the generated service and a bake against their floors; writes docs/
	$(RUN) python -m bench
