# Two commands do everything: `make run` (train, evaluate, predict, look) and `make test`.
PYTHON ?= python3
SERVE ?= 1
PORT ?= 8501
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SAMPLE := models/tickets/1/manifest.json

unexport PYTHONDONTWRITEBYTECODE # every process of the tests would compile everything anew
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install --constraint constraints.txt
WORKERS ?= auto
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --max-worker-restart 0 # a new one would wait for ever

.PHONY: help setup run serve quick test test-all lint browser bench audit screenshots clean
help: ## Show what can be made.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# uv installs the same pins four times as fast as pip, but reads none of pip's settings: it is told the one that matters.
setup: $(STAMP) ## Make the environment and install everything into it, by uv where it can be had, else by pip.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	command -v uv >/dev/null || $(PIP) uv || true
	UV=$$(command -v uv || echo $(BIN)/uv); \
	UV_FIND_LINKS="$${UV_FIND_LINKS:-$$($(BIN)/python -m pip config get global.find-links 2>/dev/null)}" \
	$$UV pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable . --group dev \
	|| { $(PIP) --upgrade "pip>=25.1" && $(PIP) --editable . --group dev; }
	touch $@

run: $(STAMP) $(SAMPLE) ## Train on the sample data, evaluate, predict the inbox, then serve the page.
	$(BIN)/classifier evaluate tickets data/support_tickets_test.csv
	mkdir -p output
	$(BIN)/classifier predict tickets data/inbox.csv --output output/inbox.predicted.csv --top-k 3
	@echo
	@echo "Look at:"
	@echo "  output/inbox.predicted.csv          the inbox with label, confidence and status"
	@echo "  models/tickets/1/model_card.md      what the model is and how good it is"
	@echo "  make serve                          the web page on http://localhost:$(PORT)"
	@if [ "$(SERVE)" = 1 ]; then $(MAKE) --no-print-directory serve; fi

$(SAMPLE): $(STAMP)
	test -f $@ || $(BIN)/classifier train data/support_tickets.csv --name tickets

serve: $(STAMP) ## Serve the web page.
	$(BIN)/python -m streamlit run streamlit_app.py --server.port $(PORT)

quick: $(STAMP) ## The tests that need no browser, encoder, page or process of their own, and train little.
	$(PYTEST) -m "not (slow or browser or encoder or page or process or training)"

test: $(STAMP) lint browser ## Lint, types and the tests, in a real browser too.
	$(PYTEST) -m "not slow"

test-all: $(STAMP) lint browser ## As test, with the long statistical checks.
	CLASSIFIER_TEST_PROFILE=thorough $(PYTEST)

lint: $(STAMP) ## Lint and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

browser: ## Install chromium where it is missing and apt can.
	@command -v chromium >/dev/null || { command -v apt-get >/dev/null && sh -c 'if [ "$$(id -u)" = 0 ]; then S=; else S=sudo; fi; \
		$$S apt-get update -qq && $$S apt-get install -y -qq chromium >/dev/null'; } || echo "no chromium: browser tests will be skipped"

bench: $(STAMP) ## Time training against the pipeline anyone would write first.
	$(BIN)/python benchmarks/train.py

audit: $(STAMP) ## Look for known vulnerabilities among the pinned packages.
	$(BIN)/python -m pip_audit --requirement constraints.txt --no-deps --disable-pip

screenshots: $(STAMP) browser ## Make the pictures of the README.
	$(BIN)/python docs/screenshots.py

clean: ## Remove the environment and everything that was made.
	rm -rf $(VENV) output build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
