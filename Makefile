# `make book` and `make test` do everything on a machine that has Python 3.11+, make and git.
SHELL := /bin/bash
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
SET_UP := .venv/.set-up
UV = env UV_SYSTEM_CERTS=1 VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip install --quiet --compile-bytecode
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
STUDIES := 02_metric_sanity 04_correlation tasks 00_pretraining 01_finetuning 03_sample_size_k 05_thesis_log 06_placement_search 07_attribution 08_alignment_objective contrasts model_questions structure
LIBRARY := $(shell find vilbert_lib studies -name '*.py')
STAMPS := $(STUDIES:%=data/stamps/%)

# Two studies or tests run side by side: with a thread for each core both would wait for one another.
ONE_THREAD := OMP_NUM_THREADS=1

LIVE := -p tasks hateful_memes -p architectures baseline,early_fusion,middle_fusion,late_fusion -p seeds 0

.PHONY: help setup studies live book reproduce thesis rehearse html pdf test test-slow lint refresh small graph \
	simulate log lock clean
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

studies: $(SET_UP)  ## make the page of every study anew, two at a time, from the archived results of its runs
	@$(MAKE) --no-print-directory -j 2 $(STAMPS)

data/stamps/%: notebooks/%.ipynb notebooks/small.yaml $(LIBRARY) $(SET_UP)
	$(ONE_THREAD) $(BIN)/python -m vilbert_lib page $*
	@mkdir -p data/stamps && touch $@

live: data/stamps/live  ## train four small models and add their study to the results log

data/stamps/live: $(SET_UP)
	@# In a store of its own: a run that was trained here would take the place of the archived one in other studies.
	$(ONE_THREAD) VILBERT_ARCHIVE=$(CURDIR)/data/no-archive VILBERT_RUNS=$(CURDIR)/data/live \
		$(BIN)/papermill notebooks/04_correlation.ipynb $(LIVE)
	@mkdir -p data/stamps && touch $@

html: $(SET_UP)  ## build the book from the pages that are there; warnings are errors
	$(BIN)/python -m studies.answers
	rm -rf book/_build/html
	$(BIN)/jupyter-book build book -W -n --keep-going --all --quiet
	@test -f book/_build/html/index.html || { echo "book/_build/html/index.html was not written"; exit 1; }

pdf: $(SET_UP)  ## print the book that `make html` built, by Chromium: book/_build/book.pdf
	$(BIN)/python -m website.pdf

book:  ## everything: environment, data, a live study, the pages of all studies, the book
	@$(MAKE) --no-print-directory setup
	@$(MAKE) --no-print-directory -j 2 data/stamps/live $(STAMPS)
	@$(MAKE) --no-print-directory html
	@echo "The book is at $(CURDIR)/book/_build/html/index.html"
	@echo "Open it with: $(PYTHON) -m webbrowser file://$(CURDIR)/book/_build/html/index.html"

test: $(SET_UP)  ## unit tests and notebooks, two files at once
	$(ONE_THREAD) $(BIN)/python -m pytest --nbval -n 2 --dist loadfile

test-slow: $(SET_UP)  ## tests of killed processes, full disks, several processes, the workflow, a database, a download
	$(BIN)/python -m pytest tests -m slow -n 2 --dist loadfile

lint: $(SET_UP)  ## check style, imports and docstrings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

refresh: $(SET_UP)  ## run the notebooks' sources again and store their outputs
	$(BIN)/python -m vilbert_lib refresh

reproduce: $(SET_UP)  ## train every run behind the pages from scratch: 15.5 hours of single runs, added up
	VILBERT_ARCHIVE=$(CURDIR)/data/no-archive $(BIN)/python -m studies.make_placement_table --tasks synergy
	for name in $(STUDIES); do \
		VILBERT_ARCHIVE=$(CURDIR)/data/no-archive $(BIN)/python -m vilbert_lib page $$name || exit 1; done

thesis: $(SET_UP)  ## the thesis' programme at full scale: make thesis DATA=<folder> [ARGS=--finetune-only]
	@test -n "$(DATA)" || { echo "make thesis DATA=<folder that holds the datasets>"; exit 1; }
	$(BIN)/python -m studies.thesis --data-root "$(DATA)" $(ARGS)

rehearse: $(SET_UP)  ## the same programme end to end on small weights and data, on the CPU: about five minutes
	$(ONE_THREAD) $(BIN)/python -m studies.rehearsal

small: $(SET_UP)  ## make the pages of all studies, train what is not archived, and archive it
	for name in $(STUDIES); do $(BIN)/python -m vilbert_lib page $$name || exit 1; done
	$(BIN)/python -m vilbert_lib keep small

graph: $(SET_UP)  ## run every study as a graph, a job a run: make graph ARGS='--config profile=small'
	$(BIN)/snakemake --cores all $(ARGS)

simulate: $(SET_UP)  ## count how often each statistical procedure is mistaken: about five minutes
	$(BIN)/python benchmarks/error_rates.py

log: $(SET_UP)  ## add a dated page to the results log: make log NB=04_correlation ARGS='-p seeds 0,1,2'
	$(BIN)/papermill notebooks/$(NB).ipynb $(ARGS)

lock: $(SET_UP)  ## write requirements.lock anew from pyproject.toml
	UV_SYSTEM_CERTS=1 $(BIN)/uv pip compile pyproject.toml --extra dev --no-header --no-annotate \
		--no-emit-index-url --universal --python-version 3.11 --quiet -o requirements.lock

clean:  ## remove the book's build and everything that was made, runs included
	rm -rf book/_build data/datasets data/runs data/live data/cache data/studies data/plan data/stamps .snakemake
