# `make book` and `make test` do everything on a machine that has Python 3.11+, make and git.
SHELL := /bin/bash
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
SET_UP := .venv/.set-up
UV = env UV_SYSTEM_CERTS=1 VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip install --quiet --compile-bytecode
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
STUDIES := tasks 00_pretraining 01_finetuning 02_metric_sanity 03_sample_size_k 04_correlation 05_thesis_log 06_placement_search 07_attribution 08_alignment_objective contrasts model_questions
LIBRARY := $(shell find vilbert_lib -name '*.py')
STAMPS := $(STUDIES:%=data/stamps/%)

.PHONY: help setup studies book html test test-slow lint refresh small graph simulate log lock clean
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(SET_UP)  ## make .venv and install what requirements.lock names

$(SET_UP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing what requirements.lock names (a minute with uv, some more with pip)"
	@$(PIP) uv || echo "uv is not to be had: pip is used"
	@$(UV) -r requirements.lock || $(PIP) -r requirements.lock
	@# Last and by itself: the project's papermill command takes the place of the original's.
	@$(UV) --no-deps -e . || $(PIP) --no-deps -e .
	@grep -q vilbert_lib $(BIN)/papermill || { echo "the papermill command is not the project's"; exit 1; }
	touch $@

studies: $(STAMPS)  ## run the quick profile of every study into book/results/quick

# Trained from noise, though the figures of these runs are kept: `make book KEPT=data/results` takes those.
KEPT ?= data/none

data/stamps/%: notebooks/%.ipynb $(LIBRARY) $(SET_UP)
	VILBERT_ARCHIVE=$(abspath $(KEPT)) $(BIN)/python -m vilbert_lib page $*
	@mkdir -p data/stamps && touch $@

html: $(SET_UP)  ## build the book from the pages that are there; warnings are errors
	$(BIN)/jupyter-book build book -W -n --keep-going --all --quiet

book: studies html  ## everything: environment, data, quick studies, the book
	@echo "The book is at $(CURDIR)/book/_build/html/index.html"
	@echo "Open it with: $(PYTHON) -m webbrowser file://$(CURDIR)/book/_build/html/index.html"

test: $(SET_UP)  ## unit tests and notebooks, two files at once
	$(BIN)/python -m pytest --nbval -n 2 --dist loadfile

test-slow: $(SET_UP)  ## tests that take long or need a network: a real download
	$(BIN)/python -m pytest tests -m slow

lint: $(SET_UP)  ## check style and imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

refresh: $(SET_UP)  ## run the notebooks' sources again and store their outputs
	$(BIN)/python -m vilbert_lib refresh

small: $(SET_UP)  ## run every study at the profile small and keep its figures: hours, less where they are kept
	for name in $(filter-out 05_thesis_log,$(STUDIES)); do $(BIN)/python -m vilbert_lib page $$name --profile small || exit 1; done
	$(BIN)/python -m vilbert_lib keep small

graph: $(SET_UP)  ## run every study as a graph, a job a run: make graph ARGS='--config profile=small'
	$(BIN)/snakemake --cores all $(ARGS)

simulate: $(SET_UP)  ## count how often each statistical procedure is mistaken: about five minutes
	$(BIN)/python -m vilbert_lib simulate

log: $(SET_UP)  ## add a dated page to the results log: make log NB=04_correlation ARGS='-p seeds 0,1,2'
	$(BIN)/papermill notebooks/$(NB).ipynb $(ARGS)

lock: $(SET_UP)  ## write requirements.lock anew from pyproject.toml
	UV_SYSTEM_CERTS=1 $(BIN)/uv pip compile pyproject.toml --extra dev --no-header --no-annotate \
		--no-emit-index-url --universal --python-version 3.11 --quiet -o requirements.lock

clean:  ## remove the book's build and everything that was made, runs included
	rm -rf book/_build data/datasets data/runs data/cache data/studies data/plan data/stamps .snakemake
