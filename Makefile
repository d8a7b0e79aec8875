# The table of contents. `make help` lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
DATE ?=
LANDING ?= .local/demo/landing
LAKE ?= .local/demo/lake
MAPPING ?=
.DEFAULT_GOAL := help
.PHONY: help demo test drill check format models nightly server-start server-stop lock clean bench-ingest bench-algorithms bench-rings bench-gnn bench-models bench-leads bench-contacts bench-explorer explorer notebooks gnn needs graph ingest jobs tests docs benchmarks

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: .venv/.spark .venv/.explorer ## a small synthetic world, one whole night, a graph in a local Neo4j, the explorer, and what to look at
	@$(BIN)/python -m jobs demo

test: .venv/.dev check ## the whole suite: style, types, import rules, tests
	$(BIN)/python -m pytest

drill: .venv/.dev ## whole nights, and nights that are killed and resumed, notebooks, a million calls through the gate (about 20 minutes)
	$(BIN)/python -m benchmarks.drill

check: .venv/.dev ## style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.dev ## write the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

nightly: .venv/.spark ## one night: make nightly DATE=2026-06-30 LANDING=… LAKE=… [MAPPING=…]
	@[ -n "$(DATE)" ] || { echo "The night's day is needed: make nightly DATE=2026-06-30"; exit 1; }
	@$(BIN)/python -m jobs nightly run --date $(DATE) --landing $(LANDING) --lake $(LAKE) $(if $(MAPPING),--mapping $(MAPPING))

server-start: .venv/.spark ## start the local Neo4j
	@$(BIN)/python -m graph server start

server-stop: .venv/.spark ## stop the local Neo4j
	@$(BIN)/python -m graph server stop

explorer: .venv/.explorer ## serve the explorer for the demo's lake (or LAKE=…) until Ctrl-C
	@CREDIT_GRAPH_LAKE=$(LAKE) $(BIN)/python -m explorer serve

models: .venv/.gnn ## install what `python -m gnn` needs (PyTorch and its CUDA libraries: 3 GB to fetch, 6 GB on disk)
	@echo "Ready: $(BIN)/python -m gnn --help"

notebooks: .venv/.dev demo ## run the notebooks; the executed copies are in .local/notebooks (about 5 minutes after the demo)
	@mkdir -p .local/notebooks
	@for book in 01-first-look 02-data-set-as-of-a-day 03-train-compare-explain; do \
	  $(BIN)/jupyter-execute notebooks/$$book.ipynb --output ../.local/notebooks/$$book || exit 1; done

bench-models: .venv/.dev ## the race of models on an unseen synthetic world of 60,000 applicants (about 25 minutes)
	$(BIN)/python -m benchmarks.models

bench-rings: .venv/.dev ## measure rings against the truth of four synthetic worlds (about 40 minutes)
	$(BIN)/python -m benchmarks.rings

bench-leads: .venv/.dev ## measure leads against the truth of three synthetic worlds, and a million lost borrowers (about an hour)
	$(BIN)/python -m benchmarks.leads
	$(BIN)/python -m benchmarks.leads_scale

bench-contacts: .venv/.dev ## measure contact rankers and changed numbers on three public files: make bench-contacts DATA=folder (about 10 minutes)
	$(BIN)/python -m benchmarks.contact_events $(DATA)

bench-explorer: .venv/.dev ## measure the explorer at 10⁷ edges: counts, layers, a first page, fifty analysts (about 30 minutes)
	$(BIN)/python -m benchmarks.explorer

bench-gnn: .venv/.dev ## measure sampling, training and scoring at 10⁶ nodes and 2·10⁷ edges (about 5 minutes)
	$(BIN)/python -m benchmarks.gnn

bench-ingest: .venv/.dev ## measure ingest, both loads and queries at 10⁶ and 10⁷ edges (about 30 minutes)
	$(BIN)/python -m benchmarks.ingest

bench-algorithms: .venv/.dev ## measure components and communities at 10⁶ to 10⁸ edges beside other engines (about 30 minutes)
	$(BIN)/python -m benchmarks.algorithms all

lock: .venv/.uv ## resolve requirements/*.txt anew from pyproject.toml
	$(BIN)/uv pip compile -q pyproject.toml $(LOCK) --extra spark --extra algorithms --extra gnn --extra explorer --extra notebooks --extra bench --extra dev -o requirements/dev.txt
	$(BIN)/uv pip compile -q pyproject.toml $(LOCK) -c requirements/dev.txt --extra spark --extra algorithms --extra gnn -o requirements/gnn.txt
	$(BIN)/uv pip compile -q pyproject.toml $(LOCK) -c requirements/dev.txt --extra spark --extra algorithms -o requirements/spark.txt
	$(BIN)/uv pip compile -q pyproject.toml $(LOCK) -c requirements/dev.txt --extra explorer -o requirements/explorer.txt
	$(BIN)/uv pip compile -q pyproject.toml $(LOCK) -c requirements/dev.txt -o requirements/core.txt
LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate

clean: ## stop the explorer and the local Neo4j; remove the environment, the demo's world and lake, and the local graph; keys and audit stay
	@[ ! -x $(BIN)/python ] || $(BIN)/python -m explorer stop || true
	@[ ! -x $(BIN)/python ] || $(BIN)/python -m graph server stop || true
	rm -rf .venv .local/demo .local/neo4j .local/spark

needs:
	@command -v $(PYTHON) >/dev/null && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed and '$(PYTHON)' is not: apt-get install python3 python3-venv, or make PYTHON=/path/to/python3.11 …"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is needed: apt-get install python3-venv"; exit 1; }
	@command -v java >/dev/null || { echo "Java 17 or newer is needed: apt-get install openjdk-17-jre-headless"; exit 1; }
	@java -version 2>&1 | awk -F'[".]' '/version/ {exit !($$2 >= 17)}' || \
	  { echo "Java 17 or newer is needed, found: $$(java -version 2>&1 | head -1). apt-get install openjdk-17-jre-headless"; exit 1; }
	@[ "$$(df -Pk . | awk 'NR==2 {print int($$4 / 1048576)}')" -ge 4 ] || \
	  { echo "4 GB of free disk are needed here, found: $$(df -Ph . | awk 'NR==2 {print $$4}'). Make room, or clone to a larger disk."; exit 1; }

ROOM = @[ -e $(BIN)/torchrun ] || [ "$$(df -Pk . | awk 'NR==2 {print int($$4 / 1048576)}')" -ge 12 ] || \
	  { echo "12 GB of free disk are needed here for PyTorch and its libraries. Make room, or clone to a larger disk."; exit 1; }

.venv/.uv: requirements/uv.txt | needs
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

.venv/.spark: requirements/spark.txt pyproject.toml .venv/.uv
	@[ -e .venv/.dev ] || $(BIN)/uv pip install --require-hashes -r requirements/spark.txt
	@touch $@

.venv/.explorer: requirements/explorer.txt pyproject.toml .venv/.uv
	@[ -e .venv/.dev ] || $(BIN)/uv pip install --require-hashes -r requirements/explorer.txt
	@touch $@

.venv/.gnn: requirements/gnn.txt pyproject.toml .venv/.uv
	$(ROOM)
	@[ -e .venv/.dev ] || $(BIN)/uv pip install --require-hashes -r requirements/gnn.txt
	@touch $@ .venv/.spark

.venv/.dev: requirements/dev.txt pyproject.toml .venv/.uv
	$(ROOM)
	$(BIN)/uv pip install --require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install -q --no-deps --no-build-isolation --editable .
	@touch $@ .venv/.spark .venv/.explorer .venv/.gnn
