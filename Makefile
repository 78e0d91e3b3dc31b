# make install   the environment .venv (Python 3.11 to 3.13), with the versions that are known to work together
# make demo      the studies at laptop scale: trains thirteen nets and ten masks, measures them, writes tables, figures and a page
# make notebooks   executes the seven notebooks of figures on what is in results/, into results/notebooks
# make docs      README, docs/ and the reference of every module as a site in build/docs
# make test      lint and all tests
PYTHONS := $(PYTHON) python3 python3.13 python3.12 python3.11
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
BIN := .venv/bin
WIDTHS := --experiment_ids=9002-9006
MASKS := --experiment_ids=9010-9019
FEATURES := --experiment_ids=9250,9270,9290,9291
FILTERS := --experiment_id=9032
PRUNED := --experiment_ids=9040-9041
DEMO := $(WIDTHS),9010-9019
SITE := build/docs

.PHONY: install demo notebooks docs test
install: .venv/installed

.venv/installed: setup.py constraints.txt
	@for python in $(PYTHONS); do $$python -c '$(SUPPORTED)' 2>/dev/null && found=$$python && break; done; \
	if [ -z "$$found" ]; then echo "tfprune needs Python 3.11, 3.12 or 3.13; name yours: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 2; fi; \
	echo "installing into .venv (a minute or two) with $$found" && $$found -m venv --clear .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

demo: install
	@$(BIN)/python train.py $(DEMO)
	@$(BIN)/python get_activations.py $(DEMO)
	@$(BIN)/python get_redundancy.py $(DEMO)
	@$(BIN)/python get_robustness.py $(DEMO)
	@$(BIN)/python pkl2csv_redundancy.py $(DEMO)
	@$(BIN)/python pkl2csv_robustness.py $(DEMO)
	@$(BIN)/python report.py $(WIDTHS)
	@$(BIN)/python report.py $(MASKS)
	@$(BIN)/python train.py $(FEATURES)
	@$(BIN)/python report.py $(FEATURES)
	@$(BIN)/python train.py --experiment_ids=9030,9032
	@$(BIN)/python decompose.py validate $(FILTERS)
	@$(BIN)/python decompose.py essential $(FILTERS)
	@$(BIN)/python report.py $(FILTERS)
	@$(BIN)/python prune.py $(PRUNED)
	@$(BIN)/python shrink.py --experiment_id=9040 --sparsity=0.25
	@$(BIN)/python report.py $(PRUNED)
	@$(BIN)/python report.py --format=html --out=results/report.html
	@echo "runs: results/laptop    tables: results/csv    figures: results/report    all of it as one page: results/report.html"

notebooks: install
	@$(BIN)/python notebooks/execute.py

docs: install
	@$(BIN)/python -m sphinx -q -W --keep-going -c docs -d $(SITE)/.doctrees . $(SITE)
	@echo "open $(SITE)/README.html"

test: install
	@$(BIN)/ruff check .
	@$(BIN)/python -m pytest -n auto --maxprocesses=4 --dist=loadfile
