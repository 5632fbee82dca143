# KineBackup: what a contributor runs. Needs Python >= 3.11, git and make; another Python: make PYTHON=python3.13 …

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CODE := kinebackup tests benchmarks tools
RUN ?= $(BIN)/python

.DEFAULT_GOAL := help
.PHONY: help demo test coverage test-fresh test-system test-vm check imports format messages man deb bench vectors picture clean

help: ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
		|| sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1: \2/p' $(MAKEFILE_LIST)

$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

.venv: $(INSTALLED)

demo: $(INSTALLED) ## Play the whole job on invented files, in a temporary folder
	$(BIN)/kinebackup demo

test: $(INSTALLED) ## Run every test that runs anywhere, in a few minutes
	$(RUN) -m pytest -m 'not root and not slow and not vm' $(ARGS)

coverage: $(INSTALLED) ## The same tests, and which branches of the code they took; fails below the floor in pyproject.toml
	rm -rf .coverage && mkdir .coverage
	$(MAKE) --no-print-directory test RUN='$(BIN)/coverage run'
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report > .coverage/report; ended=$$?; echo "the least covered files:"; \
		sed -n 3,14p .coverage/report; tail -n 5 .coverage/report; exit $$ended

SUITE ?= trixie

test-fresh: $(INSTALLED) ## Test and demonstrate on a fresh Debian with 2 GB of /tmp (as root, mmdebstrap; SUITE=trixie)
	PYTHONPATH=tests $(BIN)/python -m tools.fresh_debian $(SUITE) $(ARGS)

test-system: $(INSTALLED) ## Run the slow tests and those that need root, loop devices and mounts; no unexpected skips
	PYTHONPATH=tools $(BIN)/python -m pytest -p strict_skips --allowed-skips .ci/allowed-skips.txt \
		-m '(root or slow) and not vm' $(ARGS)

test-vm: $(INSTALLED) ## Run the tests in a virtual machine, with drives that are plugged in and pulled out (as root, QEMU)
	PYTHONPATH=tools $(BIN)/python -m pytest -p strict_skips --allowed-skips .ci/allowed-skips.txt \
		-m vm --numprocesses 2 --maxschedchunk 1 tests/system $(ARGS)

check: $(INSTALLED) imports ## Check format, lint, types, import contract and translations
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/python -m pytest --quiet tests/test_i18n.py

imports: $(INSTALLED)
	$(BIN)/lint-imports --no-logo

format: $(INSTALLED) ## Format the code, and mend what lint can mend
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

messages: $(INSTALLED) ## Bring the French catalogue up to date with the code
	$(BIN)/python tools/messages.py

man: $(INSTALLED) ## Write the manual page from the command line
	$(BIN)/python -m tools.manpage

deb: $(INSTALLED) ## Build the Debian package: dist/kinebackup_VERSION_amd64.deb (needs dpkg-deb)
	$(BIN)/python -m tools.deb $(ARGS)

bench: $(INSTALLED) ## Compare with restic, borg and cp (long; ARGS="--scale 0.05" for a quick look)
	$(BIN)/python benchmarks/compare.py --output docs/PERFORMANCE.md $(ARGS)

vectors: $(INSTALLED) ## Write the format's test vectors again
	PYTHONPATH=tests $(BIN)/python -m vectors.make_vectors

picture: $(INSTALLED) ## Draw the README's terminal picture from a real run
	$(BIN)/python tools/picture.py docs/images/demo.svg

clean: ## Remove what was made: the virtual environment and all caches
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .import_linter_cache *.egg-info
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
