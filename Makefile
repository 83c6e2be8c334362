# The commands of this checkout. Everything is set up in .venv; a second run starts at once.
#   make demo     join an Elixir, an Erlang or a second Python node and verify each step
#   make test     set up everything, a BEAM too, and run every test

VENV    ?= .venv
PYTHON  ?= python3
ARGS    ?=
PY       = $(VENV)/bin/python
PIP      = $(PY) -m pip --disable-pip-version-check -qq
SOURCES  = $(wildcard setup.py pyerlnode/etf/*.pyx pyerlnode/etf/*.pxi pyerlnode/term/*.pyx)

.PHONY: help demo test stress mutants coverage lint format interop wheel compose vectors bench docs changelog clean
.DELETE_ON_ERROR:

help:
	@echo "make demo       join an Elixir (else Erlang, else a second Python) node and verify each step"
	@echo "make test       every test, against a real BEAM, in about 8 minutes; ARGS='-k name' goes to pytest, ARGS='--lf' runs what failed"
	@echo "make stress     every test 20 times in another order beside a load, and what failed; ARGS='--rounds 3 --share 3 tests/net'"
	@echo "make mutants    change the pure cores one bit at a time and see whether their tests notice; ARGS='--most 20 FILE'"
	@echo "make coverage   the tests without a BEAM and those with one, by branch: a table of the rooms; ARGS='tests/net'"
	@echo "make lint       ruff, and mypy of this project and of one that uses it"
	@echo "make format     let ruff format the code"
	@echo "make interop    the tests against a BEAM on OTP 25, 27 and 29, and one table; ARGS='27' for one of them"
	@echo "make wheel      build sdist and wheel, look into them, test the example project with them on a local BEAM and in Docker; ARGS='local'"
	@echo "make compose    clusters of Elixir and Python nodes in containers: a check that they work together, and a rolling restart under load"
	@echo "make vectors    tests/data/vectors_otpNN.json of this BEAM's release, made anew; ARGS='PREFIX' for another BEAM"
	@echo "make bench      the benchmarks, run one after the other"
	@echo "make docs       the documentation as HTML, in docs/_build"
	@echo "make changelog  what the next release would say"
	@echo "make clean      remove .venv and everything that was built"

# --- environment: one stamp per step, made again when its inputs change --------------------------------
$(VENV)/.made:
	@.ci/venv "$(PYTHON)" "$(VENV)"
	@touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml $(SOURCES)
	@echo "installing pyerlnode into $(VENV)"
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.codec: $(VENV)/.installed
	@.ci/codec "$(PY)"
	@touch $@

$(VENV)/.test: $(VENV)/.codec pyproject.toml
	@echo "installing what the tests need"
	@$(PIP) install --group test
	@touch $@

$(VENV)/.coverage: $(VENV)/.test pyproject.toml
	@$(PIP) install --group coverage
	@touch $@

$(VENV)/.lint: $(VENV)/.test pyproject.toml
	@$(PIP) install --group lint
	@touch $@

$(VENV)/.docs: $(VENV)/.installed pyproject.toml
	@$(PIP) install --group docs
	@touch $@

# --- commands -------------------------------------------------------------------------------------------
demo: $(VENV)/.codec
	@$(PY) -m pyerlnode demo $(ARGS)

test: $(VENV)/.test
	@$(if $(strip $(ARGS)),,echo "every test: about 8 minutes on two quiet cores, longer on busy ones")
	@.ci/test $(if $(strip $(ARGS)),,--others) "$(PY)" tests interop_tests $(ARGS)

stress: $(VENV)/.test
	@.ci/stress $(ARGS)

mutants: $(VENV)/.test
	@$(PY) .ci/mutants $(ARGS)

coverage: $(VENV)/.coverage
	@.ci/coverage "$(PY)" $(ARGS)

interop: $(VENV)/.test
	@.ci/matrix --write $(ARGS)

wheel:
	@.ci/wheel $(ARGS)

compose:
	@.ci/compose $(ARGS)

vectors: $(VENV)/.test
	@$(PY) -m interop_tests.make_vectors $(ARGS)

lint: $(VENV)/.lint
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(PY) -m pytest -q -p no:cacheprovider tests/typing

format: $(VENV)/.lint
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

bench: $(VENV)/.test
	@.ci/bench "$(PY)" $(ARGS)

docs: $(VENV)/.docs
	@$(PY) -m sphinx -q -W -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

changelog: $(VENV)/.lint
	@$(VENV)/bin/towncrier build --draft

clean:
	@rm -rf "$(VENV)" build docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@rm -f pyerlnode/etf/_codec_c.c pyerlnode/etf/*.so pyerlnode/term/*.so
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
