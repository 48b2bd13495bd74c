# Everything sets itself up: a virtual environment in .venv, and nothing else.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DEMO   ?= demo
# As files come: else those of few tests, which take the longest, would come last, one beside none.
BESIDE := -n auto --dist loadfile --no-loadscope-reorder
QUICK  := not slow and not heavy and not browser and not image and not slurm

.PHONY: help demo test quick image-test slurm-test lint bench docs clean system engine slurm

help:                ## Show this
	@sed -n 's/^\([a-z-]*\): .*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(BIN)/.demo   ## Process two heads from start to end, and open the pages it names
	$(BIN)/nicarbon demo $(DEMO)

# What measures runs alone; the others run side by side.
test: $(BIN)/.test system lint   ## Lint, type-check, and run every test
	$(BIN)/pytest $(BESIDE) -m 'not slow and not image and not slurm'
	$(BIN)/pytest -m slow --durations 10

quick: $(BIN)/.test lint   ## The tests that take seconds
	$(BIN)/pytest $(BESIDE) -m '$(QUICK)'

slurm-test: $(BIN)/.test slurm   ## Submit jobs to a SLURM of its own, on loopback (as root)
	$(BIN)/pytest -m slurm tests/test_slurm_real.py

lint: $(BIN)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

image-test: $(BIN)/.test engine   ## Build the container image, and run it (as root, on Debian or Ubuntu)
	$(BIN)/pytest -m image tests/test_image.py

bench: $(BIN)/.test   ## Measure nicarbon beside other trackers (BENCH=--quick SCALE=1000: roughly)
	$(BIN)/python -m compileall -q nicarbon   # as pip does for the others
	$(BIN)/python benchmarks/run.py $(BENCH)
	$(BIN)/python benchmarks/scale.py $(SCALE) --output benchmarks/SCALE.md
	$(BIN)/python benchmarks/reading.py
	$(BIN)/python benchmarks/start.py $(SCALE) --output benchmarks/START.md

docs: $(BIN)/.docs   ## Build the documentation, warnings as errors
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

clean:               ## Remove what these targets made
	rm -rf $(VENV) demo docs/_build docs/api/generated docs/gallery .pytest_cache .mypy_cache .ruff_cache

# Chromium loads the pages in tests, and poppler reads what it prints; Colin27 (mricron-data)
# is the independent head.
system:
	@command -v chromium >/dev/null && command -v pdftotext >/dev/null && \
	  test -e /usr/share/mricron/templates/ch2.nii.gz || \
	  { test "$$(id -u)" = 0 && apt-get -qq update && \
	    apt-get -qq install -y --no-install-recommends \
	      chromium mricron-data poppler-utils >/dev/null; } || \
	  echo 'make test: for all tests, install Debian packages chromium, mricron-data, poppler-utils'

# Containers are built and run by root here, without a daemon; there is no other way to test them.
engine:
	@command -v buildah >/dev/null && command -v podman >/dev/null && \
	  command -v runc >/dev/null && command -v debootstrap >/dev/null || \
	  { test "$$(id -u)" = 0 && apt-get -qq update && \
	    apt-get -qq install -y --no-install-recommends \
	      buildah podman netavark runc debootstrap >/dev/null; } || \
	  { echo 'make image-test: as root, with Debian packages buildah, debootstrap, netavark, podman, runc'; \
	    exit 1; }

slurm:
	@test "$$(id -u)" = 0 || { echo 'make slurm-test: needs root, as whom slurmd runs'; exit 1; }
	@PATH=$$PATH:/usr/sbin; command -v slurmctld >/dev/null && command -v slurmd >/dev/null && \
	  command -v munged >/dev/null && command -v slurmdbd >/dev/null && \
	  command -v mariadb-install-db >/dev/null && command -v my_print_defaults >/dev/null || \
	  { apt-get -qq update && \
	    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
	      slurm-wlm munge slurmdbd mariadb-server-core mariadb-client-core >/dev/null; } || \
	  { echo 'make slurm-test: install Debian packages slurm-wlm, munge, slurmdbd,' \
	      'mariadb-server-core and mariadb-client-core'; exit 1; }

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo 'nicarbon needs Python 3.10 or later: make PYTHON=/path/to/python3 ...'; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo 'Python cannot make a virtual environment: apt-get install python3-venv'; exit 1; }

$(BIN)/.demo: $(BIN)/python setup.cfg pyproject.toml
	$(BIN)/pip install -q --disable-pip-version-check -e '.[structural]'
	@touch $@

$(BIN)/.test: $(BIN)/python setup.cfg pyproject.toml
	$(BIN)/pip install -q --disable-pip-version-check -e '.[test]'
	@touch $@

$(BIN)/.docs: $(BIN)/python setup.cfg pyproject.toml
	$(BIN)/pip install -q --disable-pip-version-check -e '.[doc]'
	@touch $@
