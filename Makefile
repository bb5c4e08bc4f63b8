# overtoken: from a grammar to the numbers of a figure. `make` alone prints the help.
#
# A stage writes data/<stage>/<id>/, where id is a digest of the stage, its version, its parameters
# and the ids of its inputs; index.json, written last, is the target. So make needs no clock to know
# what is stale: other parameters are another directory. Whoever asks for a figure has it planned
# anew: `ott-plan rules` reads pipeline/ and all that it names, and replaces data/plan/<preset>/<figure>.mk
# where that says otherwise. Whether the executables are those of the sources decides tools/build, by
# content too.
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

PRESET ?= laptop## scale of the experiment: smoke, laptop, evening, workstation, paper
FIGURE ?= figure2## figure or table that plan, rerun and verify speak of: a file pipeline/FIGURE.yaml
STAGE ?= train## stage of rerun: sample, vocabulary, tokenize, discover, map, count, import, train, materialize, evaluate, downstream, report
FROM ?= figure2## of new: the figure or table that FIGURE begins as
RUN ?= first## of rerun, export and generate: `first` output of the stage, `all`, or the name of a run in the plan
JOBS ?=## stages at a time (default: as the preset says; `make -jN` does the same)
PRECISION ?=## of the matrix products in training: float32, bfloat16 (default: as the preset says)
DEVICE ?=## what makes the steps of training and the scores: cpu, torch-cpu, cuda (docs/GPU.md; default: as the preset says)
THREADS ?=## threads of each stage (default: the cores divided among the jobs)
DEVICE_TABLES ?=## where the n-gram tables lie that a GPU trains: device, host (default: there, if it has room for them)
RANKS ?=## processes that share each training and evaluation, a power of two (docs/CLUSTER.md; default: one)
MPIRUN ?= mpirun## what starts them: mpirun of Open MPI or of MPICH
export MPIRUN
LAUNCH ?=## put before the commands of training and evaluation instead, for example "srun -n 16"

ARCH ?= native## instruction set of the build: native, or x86-64-v3 for any machine since 2013

CONFIGURATION := release
# -march reaches Swift's own code too: without it `addProduct` is a library call. The executables refuse,
# with a message, to run where the build's instructions are missing.
BUILD_FLAGS := -c $(CONFIGURATION) -Xcc -march=$(ARCH)
BIN := .build/$(CONFIGURATION)
# What a target that runs executables depends on. Those of another build, BIN=DIRECTORY on the command
# line, are taken as they are.
BUILT := $(if $(filter command,$(firstword $(origin BIN))),,build)

# A second name: the paper's figure 5 is the scaling law.
alias = $(patsubst figure5,scaling-law,$(1))
# All figures and tables of "Over-Tokenized Transformer" that there are.
PAPER := figure1 figure2 figure4 scaling-law figure7a figure7b figure7c figure8 figure9 figure10 \
  figure11 figure12 figure13 figure14 table1 table2 table3 table4 table5 table6
# Those of "Scaling Embedding Layers in Language Models" (SCONE).
SCONE := scone-figure1 scone-figure3 scone-figure5 scone-figure6 scone-figure7 scone-figure8 scone-figure9 \
  scone-figure13 scone-table2 scone-output scone-versus-oe
# What a goal or FIGURE that is a whole paper stands for.
papers = $(patsubst scone,$(SCONE),$(patsubst paper,$(PAPER),$(1)))
STAGES := sample vocabulary tokenize discover map count import train materialize evaluate downstream report
# Those that LAUNCH is for: the others have nothing to gain from other machines.
LAUNCHED := train materialize evaluate downstream
# Those that several processes can share; of the others one works.
RANKED := train evaluate downstream
CORES := $(shell nproc)
VARIABLES = PRESET PRECISION DEVICE DEVICE_TABLES FIGURE FROM STAGE RUN JOBS THREADS RANKS MPIRUN LAUNCH ARCH $(TOKENIZER_VARIABLES) \
  $(BENCH_VARIABLES) $(RANK_VARIABLES) $(EXCHANGE_VARIABLES) $(RELIABILITY_VARIABLES) $(INSTALL_VARIABLES)

# MARK: Odd values

empty :=
space := $(empty) $(empty)
tab := $(empty)	$(empty)
define newline


endef
# A text, or the value of a variable, as the shell takes it literally.
quote = '$(subst ','\'',$(1))'
literal = $(call quote,$(value $(1)))
# $(call refuse,variable,what is expected)
refuse = $(error $(1): expected $(2), found '$(subst $(newline),\n,$(value $(1)))')
# Without $ and %, which mean something to make, and without what parts words.
isName = $(if $(strip $(foreach part,$$ % ' ",$(findstring $(part),$(1)))$(foreach part,space tab newline,$(if $(findstring $($(part)),$(1)),$(part)))),,$(1))
# From 1 to 9999: each digit is a tally mark, which is no part of a name.
tallied = $(subst 9," ,$(subst 8," ,$(subst 7," ,$(subst 6," ,$(subst 5," ,$(subst 4," ,$(subst 3," ,$(subst 2," ,$(subst 1," ,$(subst 0," ,$(1)))))))))))
isCount = $(and $(call isName,$(1)),$(filter-out 0%,$(1)),$(if $(filter-out ",$(call tallied,$(1))),,yes),$(filter 1 2 3 4,$(words $(call tallied,$(1)))))

$(foreach v,PRESET FIGURE FROM STAGE BIN MPIRUN ARCH,$(if $(call isName,$(value $(v))),,$(call refuse,$(v),one name without spaces or quotes)))
$(foreach v,JOBS THREADS RANKS,$(if $(value $(v)),$(if $(call isCount,$(value $(v))),,$(call refuse,$(v),a number from 1 to 9999 or nothing))))
$(if $(value PRECISION),$(if $(and $(call isName,$(value PRECISION)),$(filter float32 bfloat16,$(PRECISION))),,$(call refuse,PRECISION,float32 or bfloat16 or nothing)))
$(if $(value DEVICE),$(if $(and $(call isName,$(value DEVICE)),$(filter cpu torch-cpu cuda,$(DEVICE))),,$(call refuse,DEVICE,cpu or torch-cpu or cuda or nothing)))
$(if $(value DEVICE_TABLES),$(if $(and $(call isName,$(value DEVICE_TABLES)),$(filter device host,$(DEVICE_TABLES))),,$(call refuse,DEVICE_TABLES,device or host or nothing)))

# In another precision or on another device a preset has another name, and so its own rules and results:
# first the precision, then the device.
deviceName := $(filter-out cpu,$(DEVICE))
ifneq (,$(deviceName))
  override PRESET := $(patsubst %-$(deviceName),%,$(PRESET))
endif
ifneq (,$(PRECISION))
  override PRESET := $(patsubst %-$(PRECISION),%,$(PRESET))-$(PRECISION)
endif
ifneq (,$(deviceName))
  override PRESET := $(PRESET)-$(deviceName)
endif

# MARK: Help

# Lines of a name, a tab and a text, in two columns.
columns = awk -F '\t' '{ name[NR] = $$1; text[NR] = $$2; if (length($$1) > width) width = length($$1) } \
  END { for (i = 1; i <= NR; i++) printf "  %-" width "s  %s\n", name[i], text[i] }'

.PHONY: help
help: ## this text
	@printf 'Figures and tables: numbers, verdicts and pictures into results/PRESET/\n'
	@for file in pipeline/*.yaml; do \
	  name=$${file#pipeline/} name=$${name%.yaml}; \
	  [[ $$name == defaults || ! $$name =~ ^[a-zA-Z0-9][a-zA-Z0-9_.+-]*$$ || ! -f $$file ]] || \
	    printf '%s\t%s\n' "$$name" "$$(sed -nE 's/^title: *//p' "$$file")"; \
	done | $(columns)
	@printf '\nTargets\n'
	@grep -hE '^[a-zA-Z0-9_%-]+:.*## ' Makefile pipeline/*.mk | sed -E 's/:[^#]*## /\t/' | $(columns)
	@printf '\nVariables, set with NAME=value [value now]\n'
	@{ $(foreach v,$(VARIABLES),printf '%s\t%s%s\n' '$(v)' \
	  "$$(sed -nE 's/^$(v) \?=.*## ?//p' Makefile pipeline/*.mk)" $(if $(value $(v)),' ['$(call literal,$(v))']');) } | $(columns)
	@printf '\nPresets: %s\n' "$$(cd pipeline/presets && printf '%s ' *.yaml | sed 's/\.yaml / /g')"

# MARK: Build

.PHONY: deps build
deps: ## install the libraries that the build needs, or print the line to type
	@tools/install-dependencies

build: ## build every executable with the instruction set of this machine
	@tools/build .build/$(CONFIGURATION) $(BUILD_FLAGS)

# MARK: Checks

.PHONY: test check format lint
test: $(BUILT) referee ## build and run every test
	python3 -B -m unittest discover --quiet --start-directory Tests/Peers
	BIN=$(BIN) MANUAL=$(MANUAL) python3 -B -m unittest discover --quiet --start-directory Tests/MakeTests
	tools/install-dependencies --for-tests
	swift build --build-tests $(BUILD_FLAGS)
	tools/build-mpi .build/$(CONFIGURATION) || [ $$? -eq 3 ] # without an MPI ranks are not tested, which a line says
	timeout 150 $(MAKE) --no-print-directory torch DEVICE=torch-cpu || echo 'no libtorch: what needs one is not tested' >&2
	place=$$(mktemp -d); trap 'rm -rf "$$place"' EXIT; OVERTOKEN_TORCH="$$(tools/find-torch torch-cpu)" \
	  TMPDIR="$$place/" swift test --skip-build $(BUILD_FLAGS)

# numpy and scipy of python3, or where it has none an environment of their own.
.PHONY: referee
refereePython = $(shell python3 -c 'import numpy, scipy' 2>/dev/null && echo python3 || echo .venv-referee/bin/python)
referee: ## compute every published effect, interval and verdict once more with scipy, from the CSVs
	@[ '$(refereePython)' = python3 ] || [ -x .venv-referee/bin/python ] || { python3 -m venv .venv-referee; \
	  .venv-referee/bin/pip install --quiet --requirement Tests/Peers/referee.txt; }
	$(refereePython) -B Tests/Peers/referee.py $(filter-out results/smoke%,$(RESULT_FOLDERS))
	$(refereePython) -B -m unittest discover --quiet --start-directory Tests/Peers --pattern test_referee.py

check: lint test ## what must pass before a change lands: format, lint, tests

lint: ## refuse what swift-format would change or warn about
	swift format lint --strict --recursive --parallel Package.swift Sources Tests

format: ## let swift-format rewrite the sources
	swift format --in-place --recursive --parallel Package.swift Sources Tests

# MARK: Rules of experiments

# Goals that need the rules of an experiment; everything else never reads them. The output of a stage
# is made by rules that name it, those of FIGURE and PRESET first.
goals := $(call alias,$(call papers,$(MAKECMDGOALS)))
isFigure = $(and $(filter-out defaults,$(notdir $(1))),$(wildcard pipeline/$(notdir $(1)).yaml))
outputs := $(filter $(STAGES:%=data/%/%),$(goals))
current := data/plan/$(PRESET)/$(call alias,$(FIGURE)).mk
rulesOf = $(or $(firstword $(shell grep -lsF -e $(call quote,$(1):) $(call quote,$(current)) data/plan/*/*.mk)),$(current))
results := $(patsubst results/%,data/plan/%,$(basename $(patsubst %.evidence.json,%.json,$(filter results/%,$(goals)))))
RULES := $(sort $(addsuffix .mk, \
    $(foreach goal,$(goals),$(if $(findstring /,$(goal)),,$(if $(call isFigure,$(goal)),data/plan/$(PRESET)/$(goal)))) \
    $(foreach place,$(results),$(if $(call isFigure,$(place)),$(place)))) \
  $(foreach goal,$(outputs),$(call rulesOf,$(goal))))

# What is cleaned away has been looked at already when the other goals are made.
ifneq (,$(filter clean clean-%,$(goals)))
  ifneq (,$(filter-out clean clean-%,$(goals)))
    $(error $(filter clean clean-%,$(goals)): expected to be made alone, found $(words $(goals)) goals. \
      Make the others by a command of their own)
  endif
endif

# $(call plan,rules): the command that writes one file of rules, and the configurations in it.
plan = OPENBLAS_NUM_THREADS=1 $(BIN)/ott-plan rules --figure=$(call quote,$(basename $(notdir $(1)))) \
  --preset=$(call quote,$(notdir $(patsubst %/,%,$(dir $(1))))) \
  $(and $(DEVICE_TABLES),--device-tables=$(DEVICE_TABLES))

# Planned while this is read, before the rules are: no clock has a say in whether they are read again.
ifneq (,$(RULES))
  planned := $(shell { $(if $(BUILT),tools/build $(BIN) $(BUILD_FLAGS) && $(if $(RANKS),tools/build-mpi $(BIN) &&)) \
    $(foreach file,$(filter-out data/plan/corpora/%,$(RULES)),$(call plan,$(file)) &&) true; } >&2)
  ifneq (0,$(.SHELLSTATUS))
    $(error no plan, nothing was run)
  endif
endif

# Results are a copy of the report's output. Looking at the bytes beats looking at the clock: names
# FORCE, which is never there, unless report directory $(1) and results $(2) agree on the files of
# figure $(3) with the endings $(4).
stalePublication = $(shell tools/publish --check $(1) $(2) $(3) $(4) || echo FORCE)
publish = @tools/publish $(1) $(2) $(3) $(4)

PLANNED_JOBS :=
ifneq (,$(RULES))
  include $(RULES)
  $(foreach output,$(outputs),$(if $(filter undefined,$(origin planned/$(output))),$(error \
    $(output): expected an output of $(patsubst data/plan/%.mk,%,$(call rulesOf,$(output))) as its settings are \
    now, found none of that name. Name the figure and the scale that it belongs to: FIGURE=... PRESET=...)))
endif
ifneq (,$(or $(JOBS),$(PLANNED_JOBS)))
  # A -j on the command line wins over this.
  MAKEFLAGS += -j$(or $(JOBS),$(PLANNED_JOBS))
endif

# The number of jobs in force is known only while recipes run; the first of them asks, for all. A plain
# `-j` starts as many as it can: then a stage has one thread.
jobsInForce = $(if $(filter -j,$(MAKEFLAGS)),$(CORES),$(or $(patsubst -j%,%,$(filter -j%,$(MAKEFLAGS))),1))
threadsPerJob = $(eval threadsPerJob := $(or $(THREADS),$(shell \
  n=$$(( $(CORES) / $(jobsInForce) )); echo $$(( n > 0 ? n : 1 )))))$(threadsPerJob)

# Stages that run side by side on a terminal share its lowest lines, and make does not write into them.
isShared = $(if $(filter-out undefined,$(origin MAKE_TERMOUT)),$(if $(filter-out undefined,$(origin MAKE_TERMERR)),$(filter-out 1,$(jobsInForce))))

# Ranks share what a job has.
threadsPerRank = $(or $(THREADS),$(shell n=$$(( $(threadsPerJob) / $(RANKS) )); echo $$(( n > 0 ? n : 1 ))))

# $(call runStage,stage,id,name): the one way in which a stage is run.
ranked = $(and $(RANKS),$(filter $(RANKED),$(1)))
launch = $(if $(filter $(LAUNCHED),$(1)),$(if $(LAUNCH),$(LAUNCH) ,$(if $(ranked),tools/ranks $(RANKS) )))
runStage = $(if $(isShared),@)$(launch)$(BIN)/ott-$(1) --config data/config/$(1)/$(2).json --output data/$(1)/$(2) \
  --threads $(if $(ranked),$(threadsPerRank) --ranks $(RANKS),$(threadsPerJob)) \
  $(and $(filter train,$(1)),$(DEVICE_TABLES),--device-tables $(DEVICE_TABLES)) --name '$(3)'

.PHONY: paper scone
paper: $(PAPER) ## all figures and tables of the paper; make plan FIGURE=paper tells the cost
scone: $(SCONE) ## the figures and tables of SCONE; make plan FIGURE=scone tells the cost

.PHONY: figure5
figure5: scaling-law ## another name of scaling-law

.PHONY: FORCE

.PHONY: plan
plan: $(BUILT) ## what is stale, why, and what it costs: FIGURE, PRESET; writes nothing
	@$(BIN)/ott-plan $(if $(filter paper scone,$(FIGURE)),together $(call papers,$(FIGURE)),show --figure='$(call \
	  alias,$(FIGURE))') --preset='$(PRESET)'

.PHONY: new
new: ## begin a figure of your own as a commented copy of another: FIGURE, FROM
	@tools/new-figure '$(FIGURE)' '$(call alias,$(FROM))' \
	  $(filter-out $(basename $(notdir $(wildcard pipeline/*.yaml))),$(shell \
	    sed -nE 's/^([a-zA-Z0-9_-]+):.*/\1/p' Makefile pipeline/*.mk))

.PHONY: rerun verify
rerun: $(BUILT) ## run STAGE again on cached inputs and compare the bytes: FIGURE, PRESET, RUN
	@tools/rerun $(BIN) '$(STAGE)' '$(call alias,$(FIGURE))' '$(PRESET)' $(call literal,RUN) \
	  $(or $(THREADS),$(CORES)) $(call launch,$(STAGE))

verify: $(BUILT) ## check all finished outputs and published results against their digests
	@$(BIN)/ott-provenance verify
	@$(if $(RESULT_FOLDERS),$(BIN)/ott-report page --check --excerpts README.md $(RESULT_FOLDERS))

# MARK: Cleaning

.PHONY: $(addprefix clean-,$(STAGES)) clean clean-build
clean-%: ## forget the outputs of one stage (clean-sample, clean-train, ...); the next run rebuilds them
$(addprefix clean-,$(STAGES)): clean-%:
	rm -rf data/$*

clean: ## forget plans, configurations and the outputs of all stages; corpora, tokenizers and results stay
	rm -rf data/plan data/config data/rerun $(addprefix data/,$(STAGES))

clean-build: ## forget the build, as when another machine made it; the packages that it fetched stay
	swift package clean

# MARK: Peers

.PHONY: peers
peers: .venv/peers.stamp ## Python environment of the peers that numbers are compared with
# The stamp holds the lists that it was installed from.
peersLists := Tests/Peers/requirements.txt Tests/Peers/tokenizers.lock
.venv/peers.stamp: FORCE
	@cat $(peersLists) | cmp -s - $@ || { rm -f $@; python3 -m venv .venv; \
	  .venv/bin/pip install --quiet $(addprefix --requirement ,$(peersLists)); cat $(peersLists) >$@; }

include pipeline/torch.mk
include pipeline/tokenizers.mk
include pipeline/bench.mk
include pipeline/exchange.mk
include pipeline/reliability.mk
include pipeline/ranks.mk
include pipeline/pages.mk
include pipeline/install.mk

$(foreach v,$(VARIABLES),$(if $(findstring $(newline),$(value $(v))),$(call refuse,$(v),one line)))
