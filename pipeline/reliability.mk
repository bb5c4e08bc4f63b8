# Reliability: what proves the promises of RELIABILITY.md, and the way back from a number. Included by
# the Makefile, whose BIN, BUILT, BUILD_FLAGS, FIGURE, PRESET, literal and alias it uses.

NUMBER ?= figure2.json:claims/0/accuracy/effect## of explain: FILE:PLACE of a result, or FILE.csv:LINE/COLUMN
TORTURE_MINUTES ?= 20## of torture
MINUTES ?= 10## of fuzz and fuzz-guided
READER ?=## of fuzz and fuzz-guided: only these readers (default: all)
INPUTS ?=## of fuzz: leave out readers of which results/fuzz.csv counts so many
SEED ?= 1## of torture and fuzz: other faults, other inputs
CACHES ?=## of archive: `yes` packs the outputs of all stages too

RELIABILITY_VARIABLES := NUMBER TORTURE_MINUTES MINUTES READER INPUTS SEED CACHES
$(if $(value CACHES),$(if $(and $(call isName,$(value CACHES)),$(filter yes,$(CACHES))),,$(call refuse,CACHES,yes or nothing)))

.PHONY: explain torture fuzz fuzz-guided sanitize archive archive-check

explain: $(BUILT) ## where a number of results/ comes from: settings, seeds, digests, code, machine
	@$(BIN)/ott-provenance explain --preset='$(PRESET)' -- $(call literal,NUMBER)

torture: $(BUILT) ## kill, damage, starve and race the smoke experiments: results/torture.csv
	tools/torture --bin $(BIN) --minutes $(call literal,TORTURE_MINUTES) --seed $(call literal,SEED) --output results/torture.csv

# Every run adds its counts, and reads inputs that no run with the same SEED has read.
fuzz: $(BUILT) ## feed damaged files to every reader for MINUTES: adds to results/fuzz.csv
	$(BIN)/ott-fuzz --minutes $(call literal,MINUTES) --seed $(call literal,SEED) $(addprefix --reader ,$(READER)) \
	  $(addprefix --inputs ,$(INPUTS)) --output results/fuzz.csv

# A build of its own, instrumented for libFuzzer, which brings a `main` that ours goes before.
GUIDED_FLAGS := --scratch-path .build-guided $(BUILD_FLAGS) \
  -Xcc -fsanitize=fuzzer-no-link -Xswiftc -sanitize=fuzzer -Xlinker -z -Xlinker muldefs
fuzz-guided: deps ## the same, guided by coverage: keeps a few inputs in Tests/FuzzingTests/Corpus
	swift build $(GUIDED_FLAGS) --product ott-fuzz
	.build-guided/$(CONFIGURATION)/ott-fuzz guide --minutes $(call literal,MINUTES) --seed $(call literal,SEED) \
	  $(addprefix --reader ,$(READER)) --output results/fuzz.csv
	.build-guided/$(CONFIGURATION)/ott-fuzz guide $(addprefix --reader ,$(READER)) \
	  --keep Tests/FuzzingTests/Corpus

sanitize: $(addprefix sanitize-,thread address) ## thread and address sanitizer over worker pool, shards and files

# SwiftPM builds all tests or none: the manifest leaves only the ground floor, see its end. Without
# XCTest, which has no test here and leaks in its own start.
.PHONY: sanitize-thread sanitize-address
sanitize-thread sanitize-address: sanitize-%: deps
	OVERTOKEN_GROUND_FLOOR=1 swift build --build-tests --sanitize $* --scratch-path .build-$*
	OVERTOKEN_GROUND_FLOOR=1 swift test --skip-build --disable-xctest --sanitize $* --scratch-path .build-$*

archive: $(BUILT) ## pack what another machine needs to rerun FIGURE at PRESET offline: archive/
	tools/archive --bin $(BIN) --figure='$(call alias,$(FIGURE))' --preset='$(PRESET)' $(if $(filter yes,$(CACHES)),--caches)

archive-check: archive ## unpack that in an empty directory, build and rerun it there, compare the bytes
	tools/archive --check --figure='$(call alias,$(FIGURE))' --preset='$(PRESET)'
