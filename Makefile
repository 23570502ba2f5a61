# Everything that is done with a checkout. `make` alone tells what there is; nothing here is harmed by a second run.
MINUTES ?= 60
ARGS ?=
BIN := .venv/bin

.PHONY: help run test bench lint lint-style lint-types lint-imports lint-shell lint-c interop setup soak lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1|\2/p' Makefile | while IFS='|' read -r name text; do \
	  printf '  %-18s %s\n' "$$name" "$$text"; done

run: ## set up, then run a simulated door; its state is kept in .state
	@scripts/setup.sh run
	@exec $(BIN)/portero run --sim --state .state $(ARGS)

test: setup ## set up, then run every test (ARGS='-k bell' for some)
	$(BIN)/pytest -n auto --dist loadfile $(ARGS)

bench: setup ## measure the hot paths and print a table (ARGS=--quick for a minute's worth)
	$(BIN)/python -m bench $(ARGS)

soak: setup ## keep a simulated door busy and watch its memory (MINUTES=60)
	$(BIN)/python -m bench.soak --minutes $(MINUTES) $(ARGS)

interop: setup ## run foreign clients and servers against a simulated door
	scripts/interop.sh $(ARGS)

lint: lint-style lint-types lint-imports lint-shell lint-c ## every check that runs nothing: style, types, imports, shell, C

lint-style: setup ## ruff, as linter and as formatter
	$(BIN)/ruff check
	$(BIN)/ruff format --check

lint-types: setup ## mypy, strict
	$(BIN)/mypy

lint-imports: setup ## who may import whom
	$(BIN)/lint-imports

lint-shell: ## shellcheck, where it is installed
	@if command -v shellcheck >/dev/null; then set -x; shellcheck scripts/*.sh .ci/run; \
	else echo 'shellcheck is not installed: skipped'; fi

lint-c: setup ## the C code with every warning an error, and its tests
	$(MAKE) -C native check

setup: ## install what is missing for run, test and lint
	@scripts/setup.sh dev

lock: setup ## write requirements/*.txt anew from pyproject.toml (UPGRADE=1 for newer versions)
	scripts/lock.sh

clean: ## remove what was built, and the caches; .venv and .state stay
	rm -rf build dist *.egg-info native/build native/_voice.c native/_voice*.so
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find agent hw native tests bench interop -name __pycache__ -type d -prune -exec rm -rf {} +
