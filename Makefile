# `make` or `make help` lists what there is. Settings are environment variables: `PORT=8001 DATA_DIR=/srv/parley make run`.

VENV ?= .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
PIP := $(PY) -m pip --disable-pip-version-check
SOURCES := setup.cfg pyproject.toml
# Files of tests that run at the same time, each process with servers of its own.
TOGETHER ?= 2

.DEFAULT_GOAL := help
.PHONY: help run install test check format docs page browser doctor clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "  Settings are environment variables, for example  PORT=8001 DATA_DIR=/srv/parley make run"
	@echo "  (docs/settings.md). One process at a time, accounts, keys, backups:  $(BIN)/parley --help"

run: $(VENV)/.installed  ## Install what is missing, then run the whole server until Ctrl-C
	@exec $(BIN)/parley run

install: $(VENV)/.installed  ## Make the virtual environment and install the server in it

test: $(VENV)/.developing  ## Run all tests (with what they need: PostgreSQL and Redis come in wheels)
	@$(PY) -m pytest -q -n $(TOGETHER) --dist loadfile --no-loadscope-reorder $(TESTS)

check: $(VENV)/.developing  ## Format, lint, types, import contracts, documents
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PY) -m pytest -q tests/house/test_docs.py

format: $(VENV)/.developing  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.installed  ## Make the generated page docs/settings.md anew
	$(BIN)/parley settings --markdown > docs/settings.md

page:  ## Build the page in frontend/ into server/web/static (needs Node.js)
	@command -v npm >/dev/null || { echo "make page needs Node.js with npm; running and testing the server does not."; exit 1; }
	cd frontend && npm ci --no-audit --no-fund && npm run build

browser:  ## Find the Chromium that the page's tests drive, or install it (Debian and Ubuntu, as root)
	@for name in chromium chromium-browser google-chrome google-chrome-stable; do \
		if command -v $$name >/dev/null; then echo "Found $$(command -v $$name)"; exit 0; fi; \
	done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; \
	else \
		echo "No Chromium here. Install one (on Debian: apt-get install chromium); the tests of the page need it."; exit 1; \
	fi

doctor: $(VENV)/.installed  ## Look whether everything that the server needs is there
	@$(BIN)/parley doctor

clean:  ## Remove the virtual environment and what tools have left; data/ stays
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# The first Python that is 3.11 or newer; a name alone proves nothing, so each is asked.
$(PY):
	@for name in python3.13 python3.12 python3.11 python3 python; do \
		if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$name; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "Parley needs Python 3.11 or newer, and none was found as python3.13, python3.12, python3.11, python3 or python."; \
		echo "Install one (for example: apt-get install python3 python3-venv) and run make again."; exit 1; \
	fi; \
	echo "Making $(VENV) with $$($$found --version)"; \
	$$found -m venv --clear $(VENV) || { \
		rm -rf $(VENV); echo "$$found cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

$(VENV)/.installed: $(SOURCES) | $(PY)
	@echo "Installing the server and what it needs into $(VENV) (once)"
	@$(PIP) install --quiet --progress-bar off -e .
	@touch $@

$(VENV)/.developing: $(SOURCES) | $(PY)
	@echo "Installing the server and what its tests and checks need into $(VENV) (once)"
	@$(PIP) install --quiet --progress-bar off -e '.[dev]'
	@touch $@ $(VENV)/.installed
