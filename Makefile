# Everything starts here; nothing else has to be typed or installed by hand.
#   make demo    a real Kubernetes with simulated accelerators, the checklist run on it, a sealed bundle and a page
#   make test    linters and all tests
#   make trust   every answer of the recorded runs replaced by something wrong: none may leave a pass
#   make mutants a cluster broken in every way we know: every probe must notice (an hour or two)
#   make faults  every kind of fault at every request of a run, and signals or a full disk at every write
#   make rights  every check as somebody who may do no more than it says it needs: granted is used, by the audit log
#   make soak    every check alone, twice, and all in shuffled orders: always the same verdicts
#   make bench   figures beside their targets
#   make lint    linters alone

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.PHONY: demo test trust mutants faults rights soak bench lint setup clean

demo: $(STAMP)
	@$(PY) -m aiconform.local.prerequisites --install
	@$(PY) tools/demo.py

test: lint
	@$(PY) -m aiconform.local.prerequisites --install --tests
	@$(PY) -m pytest -n 3 --dist loadgroup

trust: $(STAMP)
	@AICONFORM_TRUST_SAMPLE=1000000 $(PY) -m pytest tests/unit/checks/test_trust.py

mutants: $(STAMP)
	@$(PY) -m aiconform.local.prerequisites --install
	@$(PY) tools/mutants.py $(MUTANTS)

faults: $(STAMP)
	@$(PY) -m aiconform.local.prerequisites --install
	@$(PY) tools/faults.py $(FAULTS)

rights: $(STAMP)
	@$(PY) -m aiconform.local.prerequisites --install
	@$(PY) tools/rights.py $(RIGHTS)

soak: $(STAMP)
	@$(PY) -m aiconform.local.prerequisites --install
	@$(PY) tools/soak.py $(SOAK)

lint: $(STAMP)
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

bench: $(STAMP)
	@$(PY) -m aiconform.local.prerequisites --install
	@$(PY) bench/bench.py $(BENCH)

setup: $(STAMP)

$(STAMP): requirements/dev.txt pyproject.toml
	@tools/python-venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
