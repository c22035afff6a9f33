# The commands of this repository. Each says what it does and how long its steps took. See docs/HACKING.md.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup build serve check test verify bench fmt clean

CACHE_DIR = $${TONNAGE_CACHE_DIR:-$${XDG_CACHE_HOME:-$$HOME/.cache}/tonnage}
DEMO_DIR = $(CACHE_DIR)/demo-models
DEMO_MODELS_COMMAND = build/release/tonnage-demo-models "$(DEMO_DIR)"
# The three demo models need some 430 MiB together; this holds any two of them.
DEMO_BUDGET = 340MiB
SERVE_DEMO_COMMAND = build/release/tonnage serve --demo --models "$(DEMO_DIR)" --budget $(DEMO_BUDGET) --context 1024
SERVE_MODELS_COMMAND = build/release/tonnage serve --models "$(MODELS)" $(if $(BUDGET),--budget "$(BUDGET)")

# The modules that meet threads; the others are single-threaded by construction. engine_test is not
# among them: it starts processes by sharing its memory with them, which TSan's runtime cannot follow.
THREADED_TESTS = net_test daemon_test

help:
	@echo 'make setup    install packages, build the llama.cpp engine once (about 6 minutes)'
	@echo 'make build    build/release/tonnage'
	@echo 'make serve    serve demo models; MODELS=dir BUDGET=6GiB serves your GGUF files'
	@echo 'make check    the gate of a commit: format, tidy, unit tests, 200 simulated seeds'
	@echo 'make test     what a user runs: setup, build, unit, integration, 2,000 seeds'
	@echo 'make verify   clang with sanitizers, clang-tidy, fuzz corpora, 10,000 seeds'
	@echo 'make bench    benchmarks, one table and a JSON file'
	@echo 'make fmt      format the sources'
	@echo 'make clean    remove build/ (the engine cache stays)'

setup:
	@tools/step -v "installing packages" -- tools/setup
	@tools/step -v "building the engine (once, about 6 minutes)" -- tools/engine build

build:
	@tools/build release

# Only what it runs: the tests of a fresh clone take several times as long to compile.
serve: setup
	@tools/build release tonnage tonnage-demo-models
ifeq ($(MODELS),)
	@tools/step -v "writing demo models" -- $(DEMO_MODELS_COMMAND)
	@exec $(SERVE_DEMO_COMMAND)
else
	@exec $(SERVE_MODELS_COMMAND)
endif

check:
	@tools/step "checking the format" -- tools/format --check
	@tools/step "tidy" -- python3 tools/tidy.py
	@tools/build release
	@tools/step "unit tests" -- tools/unit release
	@tools/step "200 simulated seeds" -- tools/seeds 200

test: setup build
	@tools/step "unit tests" -- tools/unit release
	@tools/step -v "integration tests" -- tools/integration
	@tools/step "2,000 simulated seeds" -- tools/seeds 2000

verify: setup build
	@tools/step "checking the format" -- tools/format --check
	@tools/build asan
	@tools/step "unit tests with AddressSanitizer and UBSan" -- tools/unit asan
	@tools/step "fuzz corpora" -- tools/unit asan --label fuzz
	@tools/step "500 simulated seeds under g++ and clang" -- tools/same_seeds 500
	@tools/step -v "clang-tidy" -- tools/lint
	@tools/build tsan $(THREADED_TESTS)
	@tools/step "tests of the threaded modules with ThreadSanitizer" -- tools/unit tsan $(THREADED_TESTS)
	@tools/step "10,000 simulated seeds" -- tools/seeds 10000
	@tools/step -v "the daemon against its OpenAPI document" -- tests/contract/run

bench: setup build
	@tools/step -v "benchmarks" -- bench/run

fmt:
	@tools/step "formatting" -- tools/format

clean:
	@tools/step "removing build/" -- rm -rf build
