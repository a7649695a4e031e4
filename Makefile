# Python 3.11 to 3.13 and make are all you need; `make` alone prints the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-walkthroughs test-pytorch test-clients test-function test-browser lab run refresh refresh-walkthroughs clothing lock docker-build docker-lab docker-run

help: ## print this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1 - /'

$(BIN)/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "DermaFace needs Python 3.11 to 3.13; $$($(PYTHON) --version) was found. Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# One worker per processor; tests that share a fixture stay on one of them (tests/conftest.py).
WORKERS = --numprocesses auto --no-loadscope-reorder

demo: $(BIN)/.installed ## run the five notebooks on the drawn sample set, as run "demo"
	$(BIN)/dermaface run --run-name demo

test: $(BIN)/.installed ## lint, types, unit tests, and the notebooks against their committed outputs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(WORKERS)

test-fast: $(BIN)/.installed ## lint, types, and the tests that convert, train and run nothing (under a minute)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(WORKERS) -m "not slow" tests

# Their guards come with them: tests/test_notebooks.py reads what nbval runs.
test-walkthroughs: $(BIN)/.installed ## the walkthroughs against their committed outputs (up to ten minutes)
	$(BIN)/python -m pytest $(WORKERS) notebooks/walkthroughs tests/test_notebooks.py

PYTORCH := .venv-pytorch
PYTORCH_PIP = $(PYTORCH)/bin/python -m pip install --quiet --disable-pip-version-check
TORCH := 2.13.0

# The CPU build of PyTorch is much the smaller one, but not every package index has it. The locked
# packages come last: LiteRT Torch asks for a few that are older than it needs.
$(PYTORCH)/.installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(PYTORCH)
	$(PYTORCH_PIP) "torch==$(TORCH)+cpu" || $(PYTORCH_PIP) "torch==$(TORCH)"
	$(PYTORCH_PIP) "litert-torch==0.10.0"
	$(PYTORCH_PIP) --no-deps -r requirements.txt
	$(PYTORCH_PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# The walkthrough is set beside a run of the sample, which the numbered notebooks make first.
test-pytorch: $(PYTORCH)/.installed ## the walkthrough in PyTorch, in an environment of its own (some 5 GB; up to eight minutes)
	$(PYTORCH)/bin/python -m pytest notebooks/0[1-5]*.ipynb notebooks/walkthroughs/same_model_in_pytorch.ipynb tests/pytorch

CLIENTS := .venv-clients
RUN ?= outputs/demo

$(CLIENTS)/.installed: pyproject.toml
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check --editable . \
		"mediapipe>=1.2,<1.3" "playwright>=1.50,<2" "pytest>=8"
	npm install --silent --no-audit --no-fund --prefix $(CLIENTS) @litertjs/core@2.5.3 axe-core@4.14.1
	@touch $@

# The page's tests need no TensorFlow and none of the fixtures of the other tests.
test-clients: $(CLIENTS)/.installed ## a run's files in MediaPipe and LiteRT.js, and its page in a browser (needs npm, Chromium; RUN=FOLDER)
	$(CLIENTS)/bin/python tests/clients/compare.py $(RUN) $(CLIENTS)/node_modules
	RUN=$(RUN) NODE_MODULES=$(CLIENTS)/node_modules $(CLIENTS)/bin/python -m pytest \
		--override-ini=addopts= --confcutdir=tests/clients -p no:cacheprovider -ra tests/clients

FUNCTION := .venv-function

# As whoever deploys the function does: its folder, and an environment from its own requirements.
$(FUNCTION)/.installed: $(BIN)/.installed pyproject.toml
	@test -d $(RUN)/release || { echo 'There is no $(RUN)/release: run make demo first.' >&2; exit 1; }
	$(BIN)/dermaface function $(RUN)/release build/function
	$(PYTHON) -m venv $(FUNCTION)
	cd build/function && $(CURDIR)/$(FUNCTION)/bin/python -m pip install --quiet --disable-pip-version-check \
		--requirement requirements.txt
	@touch $@

test-function: $(FUNCTION)/.installed ## a run's function, in an environment of its own, under 12,000 requests (RUN=FOLDER)
	$(BIN)/python benchmarks/function.py $(RUN)/release $(FUNCTION)/bin/python $(ARGS)

BROWSER := .venv-browser
NOTEBOOKS ?= notebooks/*.ipynb

$(BROWSER)/.installed:
	$(PYTHON) -m venv $(BROWSER)
	$(BROWSER)/bin/python -m pip install --quiet --disable-pip-version-check "playwright>=1.50,<2"
	@touch $@

test-browser: $(BIN)/.installed $(BROWSER)/.installed ## open and run the notebooks in JupyterLab in a browser, with pictures (needs Chromium)
	$(BROWSER)/bin/python tests/browser/run_all.py $(BIN)/jupyter $(NOTEBOOKS)

lab: $(BIN)/.installed ## open JupyterLab on the notebooks
	$(BIN)/jupyter lab --notebook-dir=. notebooks/01_explore_data.ipynb

run: $(BIN)/.installed ## run on your photos: make run DATA=FOLDER [ARGS="-p epochs 20"]
	@test -n "$(DATA)" || { echo 'Name the folder of photos: make run DATA=FOLDER' >&2; exit 1; }
	$(BIN)/dermaface run --data "$(DATA)" $(ARGS)

refresh: $(BIN)/.installed ## renew the committed outputs of all notebooks
	$(BIN)/python tests/refresh.py

refresh-walkthroughs: $(BIN)/.installed ## renew those of the walkthroughs alone
	$(BIN)/python tests/refresh.py --walkthroughs

clothing: $(BIN)/.installed ## renew docs/clothing from a run on the clothing photos: make clothing DATA=FOLDER
	@test -n "$(DATA)" || { echo 'Name the folder of clothing photos: make clothing DATA=FOLDER' >&2; exit 1; }
	$(BIN)/dermaface run --data "$(DATA)" --run-name clothing $(ARGS)
	$(BIN)/python benchmarks/clothing.py outputs/clothing

LOCK = uv pip compile pyproject.toml --extra notebooks --extra test --extra try --no-emit-index-url --no-emit-find-links \
	--no-annotate --no-header

lock: ## rewrite requirements.txt and requirements-gpu.txt from pyproject.toml (needs uv)
	$(LOCK) --universal --python-version 3.11 --fork-strategy fewest --upgrade --output-file requirements.txt
	$(LOCK) --extra gpu --python-version 3.12 --python-platform linux --constraint requirements.txt --upgrade \
		--output-file requirements-gpu.txt

IMAGE ?= dermaface
GPUS ?= --gpus all
# Results belong to the user who runs make; downloaded weights stay in a volume of their own.
DOCKER_RUN = mkdir -p outputs && docker run --rm --init $(GPUS) --user "$$(id -u):$$(id -g)" \
	--volume "$(CURDIR)/outputs:/opt/dermaface/outputs" --volume $(IMAGE)-home:/home/dermaface

docker-build: ## build the GPU Jupyter image
	docker build --tag $(IMAGE) .

docker-lab: ## JupyterLab in the container on port 8888 (GPUS= for a machine without a GPU)
	$(DOCKER_RUN) --interactive --tty --publish 127.0.0.1:8888:8888 $(IMAGE)

docker-run: ## run on your photos in the container: make docker-run DATA=FOLDER [ARGS=...] [GPUS=]
	@test -e "$(DATA)" || { echo 'Name the photos: make docker-run DATA=FOLDER' >&2; exit 1; }
	data="$$(realpath "$(DATA)")"; name="$$(basename "$$data")"; \
	if [ -d "$$data" ]; then mount="$$data:/data/$$name:ro"; else mount="$$(dirname "$$data"):/data:ro"; fi; \
	$(DOCKER_RUN) --no-healthcheck --volume "$$mount" $(IMAGE) dermaface run --data "/data/$$name" $(ARGS)
