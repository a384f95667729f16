# The two front doors are `make distill` and `make test`; every target makes its own .venv when needed.
VENV := .venv
PYTHON := $(VENV)/bin/python
# what runs need, and what tests and checks need beside it
RUN := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
# the oldest Python and the lowest versions that pyproject.toml declares, in an environment of their own
FLOOR := .venv-floor
FLOOR_PYTHON ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.10.*/bin/python) $(foreach v,3.10 3.11 3.12 3.13 3,$(shell command -v python$(v))))
# the demo, with gradio
DEMO := .venv-demo
comma := ,
export NO_ALBUMENTATIONS_UPDATE := 1
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.PHONY: help docs distill test test-slow test-floor test-demo check format bench clean

help: ## show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# $(call install,PYTHON,CONSTRAINTS,EXTRA)
define install
@if command -v uv > /dev/null; then \
  uv pip install --quiet --python $(1) -c $(2) -e '.[$(3)]'; \
else \
  $(1) -m pip install --quiet --disable-pip-version-check -c $(2) -e '.[$(3)]'; \
fi
endef

$(PYTHON):
	@(command -v uv > /dev/null && uv venv --quiet $(VENV)) || python3 -m venv $(VENV)

$(RUN): pyproject.toml constraints.txt | $(PYTHON)
	$(call install,$(PYTHON),constraints.txt,all)
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(PYTHON)
	$(call install,$(PYTHON),constraints.txt,dev)
	@touch $(RUN) $@

# accelerate gives a process one CPU thread unless it is told otherwise.
distill: $(RUN) ## train a teacher and a distilled student on the embedded data set
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-$$(nproc)} $(VENV)/bin/accelerate launch --quiet --config_file accelerate_config.yaml training_scripts/distill.py

# Small tensors: two threads that wait for each other cost more than they bring, a great deal more on a busy machine.
test test-slow test-floor: export OMP_NUM_THREADS := 1

# Two processes, each with whole files: what a file prepares for its tests is prepared once.
IN_TWO := -n 2 --dist loadfile

test: $(DEV) ## run the tests (about ten minutes on two cores)
	$(PYTHON) -m pytest -q $(IN_TWO)

test-slow: $(DEV) ## run the wide grids and the full-size models
	$(PYTHON) -m pytest -q -m slow

$(FLOOR)/.installed: pyproject.toml
	@test -x $(FLOOR)/bin/python || $(FLOOR_PYTHON) -m venv $(FLOOR)
	@sed -n '/^\[project\]/,/^\[tool/p' pyproject.toml | sed '/^low_precision/d; /^dev/d' \
	  | grep -oE '"[A-Za-z0-9_-]+>=[0-9.]+' | sed 's/"//; s/>=/==/' > $(FLOOR)/lowest.txt
	$(call install,$(FLOOR)/bin/python,$(FLOOR)/lowest.txt,test)
	@touch $@

test-floor: $(FLOOR)/.installed ## run the tests with the lowest versions that are declared
	$(FLOOR)/bin/python --version; cat $(FLOOR)/lowest.txt
	$(FLOOR)/bin/python -m pytest -q $(IN_TWO)

# gradio wants an older Pillow than the one that everything else is tested with
$(DEMO)/.installed: pyproject.toml constraints.txt
	@test -x $(DEMO)/bin/python || python3 -m venv $(DEMO)
	@sed 's/^pillow==13.*/pillow<13/' constraints.txt > $(DEMO)/constraints.txt
	$(call install,$(DEMO)/bin/python,$(DEMO)/constraints.txt,demo$(comma)test)
	@touch $@

test-demo: $(DEMO)/.installed ## drive the demo in a browser (needs chromium)
	$(DEMO)/bin/python -m pytest -q -rs tests/hub/test_space.py

check: $(DEV) ## lint, format check, types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(DEV) ## mend what the linter can
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(DEV) ## measure against the named rivals and write docs/benchmarks.md
	$(PYTHON) -m benchmarks

docs: .venv-docs/.installed ## build the documentation's site in build/site; warnings are errors
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet

.venv-docs/.installed: docs/requirements.txt
	@test -x .venv-docs/bin/python || python3 -m venv .venv-docs
	@.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	@touch $@

clean: ## remove what the targets made, the results in runs/ aside
	rm -rf $(VENV) $(FLOOR) build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
