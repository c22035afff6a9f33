# The commands of this repository. Each says what it does and how long its steps took. See docs/HACKING.md.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup build serve check test verify bench fmt clean

SERVE_OPTIONS = $(if $(MODELS),--models "$(MODELS)") $(if $(DEMO),--demo) $(if $(BUDGET),--budget "$(BUDGET)")

# The modules that meet threads; the others are single-threaded by construction. TSan's runtime cannot
# follow tests that start programs, because a program begins by sharing the memory of who starts it.
THREADED_TESTS = net_test daemon_test process_test
NOT_UNDER_TSAN = -ProcessRunnerTest*:RuntimeFolderTest*:Spawn*:KillMarked*:EngineRoomTest*

help:
	@echo 'make setup    install packages, build the llama.cpp engine once (about 6 minutes)'
	@echo 'make build    build/release/tonnage'
	@echo 'make serve    serve small real models; MODELS=dir BUDGET=6GiB serves your GGUF files'
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

serve: setup
	@exec tools/serve $(SERVE_OPTIONS)

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
	@GTEST_FILTER="$(NOT_UNDER_TSAN)" tools/step "tests of the threaded modules with ThreadSanitizer" -- tools/unit tsan $(THREADED_TESTS)
	@tools/step "10,000 simulated seeds" -- tools/seeds 10000
	@tools/step -v "the daemon against its OpenAPI document" -- tests/contract/run

bench: setup build
	@tools/step -v "benchmarks" -- bench/run

fmt:
	@tools/step "formatting" -- tools/format

clean:
	@tools/step "removing build/" -- rm -rf build
