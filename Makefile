# make table1 | ablations | defects | audit | paper | site | test | lint | bench | publish
#                                                               each sets up what it needs, once
# make bench-gpu | test-slurm | test-reliability | setup | lock | clean
# UNBLIND_PYTHON=/path/to/python3.11 names the interpreter if python3 is another version.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup table1 ablations defects audit paper site test test-slurm test-reliability lint bench bench-gpu publish lock clean

CONFIG := workflow/config/mini.yaml

# Snakemake keeps a cache in the home folder; who has no writable one gets it here.
CACHES := $(shell d="$${XDG_CACHE_HOME:-$$HOME/.cache}"; { mkdir -p "$$d" && test -w "$$d"; } \
  2>/dev/null || echo "$$PWD/.cache")
ifneq ($(CACHES),)
export XDG_CACHE_HOME := $(CACHES)
endif

help:
	@sed -n 's/^# //p' Makefile

setup:
	@sh scripts/setup.sh

# Rendering costs seconds and is always done, so that the table shows the template of this checkout.
table1: setup
	@.venv/bin/unblind costs results/table1.md --config $(CONFIG)
	.venv/bin/snakemake --cores all results/table1.md --forcerun table1
	@.venv/bin/unblind costs results/table1.md --config $(CONFIG)

# The paper's Tables 4 to 8 and 10 to 13, one after the other: an interrupted night leaves whole ones.
ABLATIONS := workflow/config/ablations.yaml
ablations: setup
	@for number in 4 5 6 7 8 10 11 12 13; do \
	  .venv/bin/snakemake --cores all --keep-going --configfile $(ABLATIONS) -- \
	    results/table$$number.md || failed=1; \
	done; exit $${failed:-0}

# Default with one defect of the release at a time, each in a folder of its own; then the page.
DEFECTS := workflow/config/defects
defects: setup
	@for name in noop-filter euler greedy environments; do \
	  .venv/bin/snakemake --cores all --keep-going --configfile $(DEFECTS)/$$name.yaml -- \
	    results/defects/$$name/rollouts/default/0/in_distribution.parquet || failed=1; \
	done; \
	.venv/bin/snakemake --cores all --configfile $(DEFECTS).yaml --forcerun defects -- \
	  results/defects.md || failed=1; exit $${failed:-0}

# Judges the claims by the records that are there; it computes none.
audit: setup
	.venv/bin/unblind audit --config $(CONFIG)

# Our report as a PDF, from what is there; it computes no study. Needs TeX: Debian as root gets it.
paper: setup
	@sh scripts/tex.sh
	.venv/bin/unblind paper --config $(CONFIG)

# A static site of the records and pages that are there; computes none.
site: setup
	.venv/bin/unblind site --config $(CONFIG)

test: setup
	@sh scripts/browser.sh
	.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 25

# A real one-node SLURM, started and stopped by the tests; Debian as root. About 15 minutes.
test-slurm: setup
	@sh scripts/slurm.sh
	UNBLIND_SLURM=must .venv/bin/python -m pytest --durations=0 tests/slurm tests/cluster

# Kills, full disks, damaged files; writes docs/reliability.md. About 35 minutes on two idle cores.
test-reliability: setup
	.venv/bin/python tests/reliability/reliability.py

lint: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/snakefmt --check Snakefile workflow
	.venv/bin/snakemake --lint
	.venv/bin/lint-imports

bench: setup
	.venv/bin/unblind bench

# Full size on one GPU within 8 minutes; needs no set-up, but a python3 with torch for CUDA where
# there is no .venv (docs/gpu.md). For instance make bench-gpu ARGS="--device cpu --size twin"
bench-gpu:
	@python=.venv/bin/python; [ -x $$python ] || python=python3; \
	PYTHONPATH=src "$${UNBLIND_PYTHON:-$$python}" -m unblind.bench bench-gpu $(ARGS)

# Checks, stores and commits the results that are there; refuses what is stale, corrupt or too large.
publish: setup
	.venv/bin/unblind publish --config $(CONFIG)

# Recompile the lock after a change of requirements.in; versions move only where they must.
lock: setup
	.venv/bin/uv pip compile requirements.in --python-version 3.11 \
	  --override requirements.overrides --no-emit-package torch --generate-hashes --no-header \
	  --quiet -o requirements.lock

# Results stay: they are hours of work, and the workflow itself knows which are out of date.
clean:
	rm -rf .venv .pytest_cache .ruff_cache src/unblind.egg-info
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
