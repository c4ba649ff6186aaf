# Each verb sets up what it needs in .venv first, so any of them works on a fresh clone.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
AZ     := .venv-az
PIP    := $(BIN)/python -m pip --disable-pip-version-check install -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help lab test test-az grade release bench bench-peers

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

lab: $(VENV)/lab.done  ## open the workbook in JupyterLab on the local Azure (LAB_ARGS=--no-browser …)
	@$(BIN)/labkit lab $(LAB_ARGS)

test: $(VENV)/test.done  ## run every check: lint, types, tests, solved notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/labkit release --check
	$(BIN)/python -m pytest -n auto --dist worksteal
	LABKIT_STRICT=1 $(BIN)/python -m pytest -n auto --dist loadfile --nbval --nbval-current-env -W default solutions

test-az: $(VENV)/test.done $(AZ)/az.done  ## drive the local Azure with the real Azure CLI (installs it: 700 MB)
	$(BIN)/python -m pytest tests/azurecli

grade: $(VENV)/test.done  ## grade a small sample class made from the solutions; the reports are in grades/
	$(BIN)/labkit sample sample
	$(BIN)/labkit grade sample --out grades --again

release: $(VENV)/test.done  ## derive notebooks/ from solutions/
	$(BIN)/labkit release

bench: $(VENV)/test.done .bench/peers.done  ## measure every claim about speed (DATA=folder of the Azure LLM traces, for the replay)
	$(BIN)/python benchmarks/hot_path.py
	$(BIN)/python benchmarks/endurance.py
	$(BIN)/python benchmarks/hostile.py
	$(BIN)/python benchmarks/replay.py $(or $(DATA),traces)
	$(BIN)/python benchmarks/import_time.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/batch.py
	$(BIN)/python benchmarks/routing.py
	$(BIN)/python benchmarks/faults.py
	$(BIN)/python benchmarks/resume.py
	$(BIN)/python benchmarks/semantic_cache.py

# What the benchmarks measure beside labkit; part of bench.
bench-peers: .bench/peers.done

$(VENV)/python.done:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "labkit needs Python 3.11 or newer, and $(PYTHON) is %d.%d. Try: make PYTHON=python3.12" % sys.version_info[:2])'
	@echo "Setting up $(VENV): one to three minutes, the first time only."
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/lab.done: $(VENV)/python.done pyproject.toml constraints.txt
	$(PIP) --editable .
	@touch $@

$(VENV)/test.done: $(VENV)/lab.done
	$(PIP) --editable '.[test]'
	@touch $@

# In an environment of its own: the peers pin other releases than the course does. Without a network they are left out.
.bench/peers.done: benchmarks/peers.txt
	@mkdir -p .bench
	@$(PYTHON) -m venv .bench/peers && .bench/peers/bin/python -m pip --disable-pip-version-check install --quiet \
		-r benchmarks/peers.txt && touch $@ || { rm -rf .bench/peers; echo "The peers could not be installed."; }

# In an environment of its own: the Azure CLI pins other releases of the SDKs than the course does.
$(AZ)/az.done:
	$(PYTHON) -m venv $(AZ)
	$(AZ)/bin/python -m pip --disable-pip-version-check install --quiet azure-cli==2.91.0
	@touch $@
