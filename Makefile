# make replicate – the pipeline at quick scale (SCALE=… for another), ends with what was found and the
#                  path of the report
# make test      – the tests
# make test-fast – those of maths, settings, store and statistics: half a minute, on every save
SCALE := quick
PYTHON ?= $(shell command -v python3.11 || command -v python3)
READY := .venv/.ready
export PATH := $(CURDIR)/.venv/bin:$(PATH)

FAST := tests/maths tests/store tests/test_settings.py tests/test_messages.py \
	$(addprefix tests/analysis/,test_statistics.py test_significance.py claims/test_ledger.py)

.PHONY: setup replicate figures archive test test-fast regression accept traces check format bench lock clean

setup: $(READY)

$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info[:2] == (3, 11) else "Python 3.11 is needed: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@touch $@

replicate: setup
	snakemake --quiet rules --config scale=$(SCALE)
	@python -m analysis.findings results/replication/$(SCALE)/claims.json
	@echo "Report: $(CURDIR)/results/replication/$(SCALE)/report.html"

figures: setup
	snakemake figures

archive: figures
	@python -m analysis.archive

test: setup
	python -m pytest -n auto

test-fast: setup
	python -m pytest -n auto $(FAST)

regression: setup
	python -m pytest -m regression tests/regression

accept: setup
	@python -m tests.regression.accept --reason "$$REASON"

traces: setup
	python -m replicate traces

check: setup
	ruff format --check .
	ruff check .
	mypy
	lint-imports
	python -m replicate traces --check
	snakefmt --check Snakefile
	snakemake --lint --config scale=smoke
	$(MAKE) test

format: setup
	ruff format .
	ruff check --fix .
	snakefmt Snakefile

bench: setup
	python -m pytest tests/bench -o python_files='bench_*.py' --benchmark-only

lock: setup
	python -m pip install --quiet --upgrade pip  # older ones know no --group
	python -m pip install --quiet --upgrade --group dev .
	python -m pip uninstall --quiet --yes replicate  # a copy would be older than the checkout
	python -m pip freeze > requirements.new
	(head -n 1 requirements.lock; sed 's/+cpu//' requirements.new) > requirements.renewed
	(sed '/- pip:/q' environment.yaml; sed '1d; s/^/      - /' requirements.renewed) > environment.renewed
	mv requirements.renewed requirements.lock
	mv environment.renewed environment.yaml
	rm requirements.new

clean:  # not results/replication: its runs took hours
	rm -rf .venv .snakemake
