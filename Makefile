# The commands: `make run`, `make recipe`, `make ui`, `make test`, `make gate`, `make clean`. All need Python 3.11+, git and make, nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DO_NOT_TRACK := 1

# CUDA packages are pinned by torch itself; a lock that names them would force them on CPU builds.
CUDA_PACKAGES := cuda-bindings cuda-pathfinder cuda-toolkit triton nvidia-cublas nvidia-cuda-cupti \
	nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand \
	nvidia-cusolver nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink \
	nvidia-nvshmem-cu13 nvidia-nvtx

PORT ?= 4200
NAME ?= atlas

# `requirements.lock` has the packages of a run, `requirements-dev.lock` these and those of the tests.
.PHONY: run look recipe ui test gate lint install install-dev lock format clean clean-cache

run: look install  ## install, run the pipeline, print the metrics
	$(BIN)/imf run

# The graph is shown while the large packages are still to come.
look: $(VENV)/.readers
	@test -e $(VENV)/.installed || { $(BIN)/python -m stages.download && $(BIN)/python -m stages.prepare && \
		echo "next: the other packages (torch, DVC, Prefect), then features and training; the report will be" \
			"results/report.html"; }

recipe: install  ## the same with a recipe of recipes/: make recipe NAME=db15k
	arguments=$$($(BIN)/python -m recipes $(NAME)) && $(BIN)/python -m dvc exp run $$arguments
	$(BIN)/imf show

ui: install  ## Prefect's UI with all flows, until Ctrl-C; another port: make ui PORT=4300
	@$(BIN)/imf ui --port $(PORT)

# One worker per core, at most four, since each takes up to 2 GB; a worker computes on one thread.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadgroup

test: lint  ## lint, types, the fast tests and one whole run on a small graph
	$(PYTEST) -m "not slow and not full_size"

gate: lint  ## lint, types and all tests but full-size ones
	$(PYTEST)

lint: install-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

install: $(VENV)/.installed .dvc/plots.html  ## the packages of a run

install-dev: install $(VENV)/.installed-dev  ## those of the tests on top

# The packages that `look` needs.
READERS := aiohttp filelock numpy pyarrow pydantic pyoxigraph pyyaml ruamel.yaml tqdm typer yarl

$(VENV)/.readers: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than 3.11; run: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock $(READERS)
	touch $@

$(VENV)/.installed: $(VENV)/.readers pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# Also after an update of the other packages, which may have replaced shared ones.
$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	touch $@

.dvc/plots.html: cli/pipeline.py $(VENV)/.installed  # makes DVC's plots work offline
	$(BIN)/imf plots-page
	$(BIN)/python -m dvc config --quiet --local plots.html_template plots.html

format: install-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --upgrade \
	--quiet --no-annotate --no-header $(foreach package,$(CUDA_PACKAGES),--no-emit-package $(package))

lock: install  ## pin every package again within the ranges of pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	$(COMPILE) --group dev --constraint constraints.txt --output-file requirements-dev.lock
	$(COMPILE) --constraint requirements-dev.lock --output-file requirements.lock

# The outs of all stages. By awk, since clean also works without the environment that has DVC.
LIST_OUTS := awk '/^[^ ]/ { on = 0 } /^    [a-z]+:/ { on = /^    (outs|metrics|plots):/ } \
	on { sub(/^    [a-z]+:/, ""); gsub(/[][]/, ""); count = split($$0, outs, /, */); \
	for (i = 1; i <= count; i++) { out = outs[i]; gsub(/^ +(- )?| +$$/, "", out); sub(/:$$/, "", out); \
	if (out != "" && out !~ /[$$]|: /) print out } }' dvc.yaml

clean:  ## remove the outs of dvc.yaml and the environment; your data, .imf and DVC's cache are kept
	@$(LIST_OUTS) | while IFS= read -r out; do \
		rm -rf -- "$$out" || exit 1; rmdir -p "$${out%/*}" 2> /dev/null || true; done
	rm -rf $(VENV) .dvc/plots.html

clean-cache:  ## remove DVC's cache: outs of all runs and experiments, data tracked by `dvc add`
	@echo "removing .dvc/cache: the outs of all earlier runs and experiments, and the data that you" \
		"track by \`dvc add\`, where no remote has them"
	rm -rf .dvc/cache
