# Reliability: what proves the promises of RELIABILITY.md, and the way back from a number. Included by
# the Makefile, whose BIN, BUILT, BUILD_FLAGS, FIGURE, PRESET and THREADS it uses.

NUMBER ?= figure2.json:claims/0/accuracy/effect## of explain: FILE:PLACE of a result, or FILE.csv:LINE/COLUMN
TORTURE_MINUTES ?= 20## of torture
MINUTES ?= 10## of fuzz
SEED ?= 1## of torture and fuzz: other faults, other inputs
CACHES ?=## of archive: `yes` packs the outputs of all stages too

RELIABILITY_VARIABLES := NUMBER TORTURE_MINUTES MINUTES SEED CACHES

.PHONY: explain torture fuzz sanitize archive archive-check

explain: $(BUILT) ## where a number of results/ comes from: settings, seeds, digests, code, machine
	@$(BIN)/ott-provenance explain '$(NUMBER)' --preset $(PRESET)

torture: $(BUILT) ## kill, damage, starve and race the smoke experiments: results/torture.csv
	tools/torture --bin $(BIN) --minutes $(TORTURE_MINUTES) --seed $(SEED) --output results/torture.csv

fuzz: $(BUILT) ## feed damaged files to every reader for MINUTES: results/fuzz.csv
	$(BIN)/ott-fuzz --minutes $(MINUTES) --seed $(SEED) --output results/fuzz.csv

sanitize: $(addprefix sanitize-,thread address) ## thread and address sanitizer over worker pool, shards and files

# SwiftPM builds all tests or none: the manifest leaves only the ground floor, see its end. Without
# XCTest, which has no test here and leaks in its own start.
.PHONY: sanitize-thread sanitize-address
sanitize-thread sanitize-address: sanitize-%: | $(INSTALLED)
	OVERTOKEN_GROUND_FLOOR=1 swift build --build-tests --sanitize $* --scratch-path .build-$*
	OVERTOKEN_GROUND_FLOOR=1 swift test --skip-build --disable-xctest --sanitize $* --scratch-path .build-$*

archive: $(BUILT) ## pack what another machine needs to rerun FIGURE at PRESET offline: archive/
	tools/archive --bin $(BIN) --figure $(FIGURE) --preset $(PRESET) $(if $(filter yes,$(CACHES)),--caches)

archive-check: archive ## unpack that in an empty directory, build and rerun it there, compare the bytes
	tools/archive --check --figure $(FIGURE) --preset $(PRESET)
