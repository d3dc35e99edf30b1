# Everything needs only Python >= 3.11 and pip. Stamps in .venv make a second call start at once.
PYTHON ?= python3
VENV := .venv
EXTRAS := .venv-extras
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
SOURCES := pyproject.toml constraints.txt

.PHONY: run install test test-extras test-slow test-latest lint format bench wheel-check clean help

help:            ## this list
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: $(VENV)/.core            ## the main job: agents compared on two worlds, and rankings of a real log
	@rm -rf runs/ladder runs/grocery runs/offline
	$(BIN)/recsim-env run cascade_mdp --env CascadeRec-v0 $(SIZE) --out runs/ladder
	$(BIN)/recsim-env run cascade_mdp --env CascadeRec-Grocery-v0 $(SIZE) --out runs/grocery
	$(BIN)/recsim-env run offline_ranking --data complete-journey --out runs/offline
	$(BIN)/recsim-env compare runs/ladder runs/grocery runs/offline --out runs/figure.png
EPISODES ?= 4000
REPLICATES ?= 10
SIZE = --episodes $(EPISODES) --replicates $(REPLICATES) --agents cascading_vi,cascade_ts,cascade_ucb,myopic,random

install: $(VENV)/.dev            ## the package with everything that development of the core needs, in .venv

test: $(VENV)/.dev            ## the tests of the core, which needs neither torch nor ray
	$(BIN)/python -m pytest -m "not slow and not extra" -n auto --dist loadfile

test-extras: $(EXTRAS)/.stamp            ## the tests that need torch, stable-baselines3, ray, faiss or trl, in .venv-extras
	RECSIM_ENV_EXTRAS=1 $(EXTRAS)/bin/python -m pytest -m "extra and not slow" -n auto --dist loadfile

test-slow: $(VENV)/.dev $(EXTRAS)/.stamp            ## the slow tests: golden tables at full length
	$(BIN)/python -m pytest -m "slow and not extra"
	RECSIM_ENV_EXTRAS=1 $(EXTRAS)/bin/python -m pytest -m "slow and extra"

test-latest: .venv-latest/.stamp            ## environment tests on the newest Gymnasium
	.venv-latest/bin/python -c "import gymnasium; print('gymnasium', gymnasium.__version__)"
	.venv-latest/bin/python -m pytest -m "not slow and not extra" -n auto tests/test_registry.py

lint: $(VENV)/.dev            ## ruff, mypy, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p recsim_env
	$(BIN)/lint-imports

format: $(VENV)/.dev            ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev            ## every figure of benchmarks/, per CPU-second
	for script in environments luck worlds planning bandits arms single_replicate adversarial_bandits constrained_bandits contextual_bandits slate_bandits ranking_bandits click_models logs datasets ranking_metrics off_policy slate_off_policy shortcuts imports; do $(BIN)/python benchmarks/$$script.py || exit 1; done

wheel-check: $(VENV)/.dev            ## sdist and wheel, installed and imported in an empty environment
	bash .ci/wheel-check

clean:            ## remove the environments and all that was built
	rm -rf .venv .venv-extras .venv-latest build dist *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("recsim-env needs Python 3.11 or newer, got " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(VENV)/bin/python $(SOURCES)
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(PIP) -e ".[dev,notebooks]"
	@touch $@

$(EXTRAS)/.stamp: $(SOURCES)
	$(PYTHON) -m venv $(EXTRAS)
	$(EXTRAS)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,notebooks,sb3,rllib,faiss,language-models]"
	@touch $@

.venv-latest/.stamp: $(SOURCES)
	$(PYTHON) -m venv .venv-latest
	.venv-latest/bin/pip install --quiet --disable-pip-version-check --upgrade pytest pytest-xdist -e .
	@touch $@
