# Pages and pictures of results/, written from the published results alone. Included by the Makefile,
# whose BIN and BUILT it uses.

RESULT_FOLDERS = $(patsubst %/,%,$(sort $(dir $(wildcard results/*/*.evidence.json))))

.PHONY: pages page-check pictures verdicts simulations tensorboard

pages: $(BUILT) ## write the page of every preset, and the table in README.md, from results/
	@$(BIN)/ott-report page --excerpts README.md $(RESULT_FOLDERS)

page-check: pages ## open every page in a real browser (Debian's chromium): no error, no dead link, every way back; screenshots
	@$(foreach folder,$(RESULT_FOLDERS),tools/page-check $(folder) .build/pages &&) true

pictures: $(BUILT) ## draw the pictures of results/ again from the published CSVs
	@$(BIN)/ott-report draw $(RESULT_FOLDERS)

verdicts: $(BUILT) ## judge what is in results/ again from the published CSVs, by the rules as they are now
	@$(BIN)/ott-report judge $(RESULT_FOLDERS)

simulations: $(BUILT) ## try the rules of intervals and verdicts where the truth is known: results/simulations.csv
	@$(BIN)/ott-report simulate --output results/simulations.csv

tensorboard: $(BUILT) ## the training metrics of FIGURE at PRESET, also of runs under way, for TensorBoard: data/tensorboard/
	@$(BIN)/ott-plan list --figure='$(call alias,$(FIGURE))' --preset='$(PRESET)' --stage train | \
	  $(BIN)/ott-report tensorboard --output data/tensorboard/$(call alias,$(FIGURE))-$(PRESET)
