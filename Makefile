# Everything runs in .venv, which is made when it is first needed. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
READY := $(VENV)/.ready

DAY :=

.PHONY: help demo demo-runner demo-merge day test test-systems test-database lint types imports openapi stress-quick stress check runtimes docs bench clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(READY) ## import a real board, plan, brief, work with four processes, collect, show
	@$(BIN)/python examples/demo.py

demo-runner: $(READY) ## agents that events start: plan, code, review until approved; live, without a model
	@$(BIN)/python examples/demo_runner.py

demo-merge: $(READY) ## four workers in worktrees, a merge queue, a conflict and a red test; without a model
	@$(BIN)/python examples/demo_merge.py

day: $(READY) ## four agents work a board to its end; --show in DAY prints all they read
	@$(BIN)/python examples/day.py $(DAY)

test: $(READY) ## run the whole suite
	$(BIN)/python -m pytest -n 2 --dist worksteal

# What touches files, locks and processes; SYSTEM_TESTS=tests takes all of them.
SYSTEM_TESTS := tests/systems tests/core tests/stores tests/maintenance tests/interfaces/test_process.py \
	tests/interfaces/test_evidence.py tests/interfaces/test_work.py tests/domain/knowledge tests/domain/locks \
	tests/domain/tasks/test_verification.py tests/engine/test_engine.py tests/engine/test_processes.py

test-systems: $(READY) ## the same on emulated macOS and Windows, as far as a system matters
	ORC_TEST_SYSTEM=darwin PYTHONPATH=tests/systems $(BIN)/python -m pytest -rs -n 2 --dist worksteal $(SYSTEM_TESTS)
	ORC_TEST_SYSTEM=windows PYTHONPATH=tests/systems $(BIN)/python -m pytest -rs -n 2 --dist worksteal $(SYSTEM_TESTS)

# The tests for a database; .ci/run gives fewer.
DATABASE_TESTS := tests/domain tests/planning tests/formulas

test-database: $(READY) ## the rules of all nouns once more, on boards in a PostgreSQL database
	ORC_TEST_STORE=postgres $(BIN)/python -m pytest -n 2 $(DATABASE_TESTS)

lint: $(READY) ## style and common mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## strict types, as each system sees them
	$(BIN)/mypy --platform linux
	$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32 orchestrator cli.py runner.py

imports: $(READY) ## the import rule of docs/ARCHITECTURE.md
	$(BIN)/lint-imports

openapi: $(READY) ## ask every route of the HTTP server thousands of times, as its document says and otherwise
	ORC_SCHEMATHESIS="--phases examples,coverage,fuzzing --max-examples 100" \
		$(BIN)/python -m pytest -o timeout=0 tests/interfaces/web/test_openapi.py

stress-quick: $(READY) ## hunt for what breaks the contract, a few minutes
	$(BIN)/python -m tests.stress --quick

stress: $(READY) ## the same for hours; see docs/reliability.md
	$(BIN)/python -m tests.stress

check: lint types imports test test-systems day stress-quick ## all of the above

runtimes: $(READY) ## install the real programs of agents, for the tests of their command lines
	npm install --no-audit --no-fund --prefix $(VENV)/runtimes @anthropic-ai/claude-code@2.1.197 \
		@openai/codex@0.171.0 @google/gemini-cli@0.61.0 opencode-ai@1.18.33 \
		@modelcontextprotocol/inspector@0.15.0

docs: $(READY) ## write the pages of docs/commands, the types of both facades, plugins/ and the pictures of guides
	$(BIN)/python -m orchestrator.interfaces.cli.reference docs/commands
	$(BIN)/python -m orchestrator.index.description docs/schema.md
	$(BIN)/python tests/async_stub.py
	$(BIN)/python -m orchestrator.integrations.clients.packages .
	$(BIN)/python tests/interfaces/tui/pictures.py docs/guides/pictures

bench: $(READY) ## every figure as a ratio in one run; --json in benchmarks/results.json
	$(BIN)/python -m benchmarks

clean: ## remove the environment and caches
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
