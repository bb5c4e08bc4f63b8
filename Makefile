# overtoken: from a grammar to the numbers of a figure. `make` alone prints the help.
#
# A stage writes data/<stage>/<id>/, where id is a digest of the stage, its version, its parameters
# and the ids of its inputs; index.json, written last, is the target. So make needs no clock to know
# what is stale: other parameters are another directory. The rules themselves are written by
# `ott-plan rules` from pipeline/ (see data/plan/<preset>/<figure>.mk after the first run).
#
# Troubleshooting: `make -n figure2` lists what would run, `make plan` says why and at what cost,
# `make data/train/<id>/index.json` runs one directory of the current FIGURE and PRESET.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --warn-undefined-variables --no-builtin-rules
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
export LC_ALL := C
# The stages call the matrix-product library from their own threads: it needs none.
export OPENBLAS_NUM_THREADS := 1

# MARK: Variables

PRESET ?= laptop## scale of the experiment: smoke, laptop, workstation, paper
FIGURE ?= figure2## figure or table that plan, rerun and verify speak of: a file pipeline/FIGURE.yaml
STAGE ?= train## stage of rerun: sample, vocabulary, tokenize, map, train, evaluate, report
RUN ?= first## of rerun: `first` output of the stage, `all`, or the name of a run in the plan
JOBS ?=## stages at a time (default: as the preset says; `make -jN` does the same)
PRECISION ?=## of the matrix products in training: float32, bfloat16 (default: as the preset says)
THREADS ?=## threads of each stage (default: the cores divided among the jobs)
LAUNCH ?=## put before every stage command, for example "srun -n 1"

CONFIGURATION := release
# -march=native reaches Swift's own code too: without it `addProduct` is a library call. The
# executables refuse, with a message, to run where the build's instructions are missing.
BUILD_FLAGS := -c $(CONFIGURATION) -Xcc -march=native
BIN := .build/$(CONFIGURATION)
BUILT := .build/$(CONFIGURATION).stamp
INSTALLED := .build/dependencies.stamp

# In another precision a preset has another name, and so its own rules and results.
ifneq (,$(PRECISION))
  override PRESET := $(patsubst %-$(PRECISION),%,$(PRESET))-$(PRECISION)
endif

# A second name: the paper's figure 5 is the scaling law.
alias = $(patsubst figure5,scaling-law,$(1))
FIGURES := $(filter-out defaults,$(basename $(notdir $(wildcard pipeline/*.yaml))))
STAGES := sample vocabulary tokenize map train evaluate report
SWIFT_SOURCES := $(shell find Package.swift Sources -type f)
EXPERIMENT_FILES := $(shell find pipeline data/grammars data/texts -type f 2>/dev/null)
CORES := $(shell nproc)

# MARK: Help

.PHONY: help
help: ## this text
	@printf 'Targets\n'
	@grep -hE '^[a-zA-Z0-9_%$$()-]+:.*## ' Makefile pipeline/*.mk | sed -E 's/:[^#]*## /\t/; s/\$$\(FIGURES\)/$(firstword $(FIGURES) figure2)/' \
	  | awk -F '\t' '{ printf "  %-24s %s\n", $$1, $$2 }'
	@printf '\nVariables (current value; set with NAME=value)\n'
	@$(foreach v,PRESET PRECISION FIGURE STAGE RUN JOBS THREADS LAUNCH $(TOKENIZER_VARIABLES) $(BENCH_VARIABLES) $(RELIABILITY_VARIABLES),printf '  %-8s = %-8s %s\n' '$(v)' '$($(v))' \
	  "$$(sed -nE 's/^$(v) \?=.*## ?//p' Makefile pipeline/*.mk)";)
	@printf '\nFigures and tables: %s\nPresets: %s\n' '$(FIGURES)' '$(basename $(notdir $(wildcard pipeline/presets/*.yaml)))'

# MARK: Build

.PHONY: deps build
deps: ## install the libraries that the build needs, or print the line to type
	@tools/install-dependencies

build: $(BUILT) ## build every executable with the instruction set of this machine

$(INSTALLED): tools/install-dependencies
	@tools/install-dependencies
	@mkdir -p $(@D) && touch $@

$(BUILT): $(SWIFT_SOURCES) | $(INSTALLED)
	swift build $(BUILD_FLAGS)
	@tools/code-version >$(BIN)/code-version
	@touch $@

# MARK: Checks

.PHONY: test check format lint
test: $(BUILT) ## build and run every test
	python3 -m unittest discover --quiet --start-directory Tests/Peers
	swift build --build-tests $(BUILD_FLAGS)
	swift test --skip-build $(BUILD_FLAGS)

check: lint test ## what must pass before a change lands: format, lint, tests

lint: ## refuse what swift-format would change or warn about
	swift format lint --strict --recursive --parallel Package.swift Sources Tests

format: ## let swift-format rewrite the sources
	swift format --in-place --recursive --parallel Package.swift Sources Tests

# MARK: Figures

# Goals that need the rules of an experiment; everything else never reads them.
# A file of data/ is made by the rules that name it, or else by those of FIGURE and PRESET.
rulesOf = $(or $(firstword $(shell grep -ls '^$(1):' data/plan/*/*.mk)),data/plan/$(PRESET)/$(call alias,$(FIGURE)).mk)
RULES := $(sort \
  $(patsubst %,data/plan/$(PRESET)/%.mk,$(filter $(FIGURES),$(call alias,$(MAKECMDGOALS)))) \
  $(foreach goal,$(filter data/% results/%,$(MAKECMDGOALS)),$(call rulesOf,$(goal))))

# Results are a copy of the report's output. Looking at the bytes beats looking at the clock: names
# FORCE, which is never there, unless report directory $(1) and results $(2) agree on the files of
# figure $(3) with the endings $(4).
stalePublication = $(shell tools/publish --check $(1) $(2) $(3) $(4) || echo FORCE)
publish = @tools/publish $(1) $(2) $(3) $(4)

PLANNED_JOBS :=
ifneq (,$(RULES))
  include $(RULES)
endif
ifneq (,$(or $(JOBS),$(PLANNED_JOBS)))
  # A -j on the command line wins over this.
  MAKEFLAGS += -j$(or $(JOBS),$(PLANNED_JOBS))
endif

# The number of jobs in force is known only while recipes run.
jobsInForce = $(or $(patsubst -j%,%,$(filter -j%,$(MAKEFLAGS))),1)
threadsPerJob = $(or $(THREADS),$(shell n=$$(( $(CORES) / $(jobsInForce) )); echo $$(( n > 0 ? n : 1 ))))

# $(call runStage,stage,id,name): the one way in which a stage is run.
runStage = $(LAUNCH) $(BIN)/ott-$(1) --config data/config/$(1)/$(2).json --output data/$(1)/$(2) \
  --threads $(threadsPerJob) --name '$(3)'

data/plan/$(PRESET)/%.mk: $(EXPERIMENT_FILES) $(BUILT)
	@$(BIN)/ott-plan rules --figure $* --preset $(PRESET)

.PHONY: $(FIGURES)
figure2: ## numbers, verdicts and picture of the paper's Figure 2, into results/PRESET/
scaling-law: ## loss over the size of the input vocabulary (the paper's Figure 5), into results/PRESET/
figure9: ## loss of over-encoded models minus the baseline's, over training (Figure 9)
table2: ## what is good for over-encoding: slices, orders, rows (Table 2)
table3: ## which orders of n-grams the input needs (Table 3)
table4: ## hashing conflicts: rows that are a multiple of V (Table 4)
.PHONY: figure5
figure5: scaling-law ## another name of scaling-law

.PHONY: FORCE

.PHONY: plan
plan: $(BUILT) ## what is stale, why, and what it costs: FIGURE, PRESET; writes nothing
	@$(BIN)/ott-plan show --figure $(call alias,$(FIGURE)) --preset $(PRESET)

.PHONY: rerun verify
rerun: $(BUILT) ## run STAGE again on cached inputs and compare the bytes: FIGURE, PRESET, RUN
	@tools/rerun $(BIN) $(STAGE) $(call alias,$(FIGURE)) $(PRESET) '$(RUN)' $(or $(THREADS),$(CORES)) $(LAUNCH)

verify: $(BUILT) ## check all finished outputs and published results against their digests
	@$(BIN)/ott-provenance verify

# MARK: Cleaning

.PHONY: $(addprefix clean-,$(STAGES)) clean clean-build
clean-%: ## forget the outputs of one stage (clean-sample, clean-train, ...); the next run rebuilds them
$(addprefix clean-,$(STAGES)): clean-%:
	rm -rf data/$*

clean: ## forget every generated file but the build
	rm -rf data/plan data/config $(addprefix data/,$(STAGES))

clean-build: ## forget the build, as when another machine made it
	rm -rf .build

# MARK: Peers

.PHONY: peers
peers: .venv/peers.stamp ## Python environment of the peers that numbers are compared with
.venv/peers.stamp: Tests/Peers/requirements.txt Tests/Peers/tokenizers.lock
	python3 -m venv .venv
	.venv/bin/pip install --quiet $(addprefix --requirement ,$^)
	@touch $@

include pipeline/tokenizers.mk
include pipeline/bench.mk
include pipeline/reliability.mk
include pipeline/pages.mk
