# Models from and for others: Hugging Face directories. Included by the Makefile, whose BIN, BUILT, FIGURE,
# PRESET, RUN and peers it uses. docs/EXPORT.md describes them.

TO ?=## directory that export writes (default: data/export/ID)
PROMPT ?= The## text that generate continues
TOKENS ?= 64## tokens that follow it at most
EXCHANGE_VARIABLES := TO PROMPT TOKENS
# A text may have a dollar, which means nothing to whoever inherits it.
unexport PROMPT

$(if $(call isCount,$(value TOKENS)),,$(call refuse,TOKENS,a number from 1 to 9999))

# The id of the run of FIGURE and PRESET that RUN names.
runID = $(BIN)/ott-plan list --preset '$(PRESET)' --figure '$(call alias,$(FIGURE))' --stage train --run $(call literal,RUN)

.PHONY: export generate conformance-exchange conformance-harness harness
export: $(BUILT) ## write a run as a Hugging Face directory: FIGURE, PRESET, RUN (its name in the plan), TO
	@runs=$$($(runID)) && id=$${runs%% *} && to=$(call literal,TO) && \
	  $(BIN)/ott-export --run "data/train/$$id" --to "$${to:-data/export/$$id}"

generate: $(BUILT) ## continue PROMPT by a finished run over text: FIGURE, PRESET, RUN (its name in the plan), TOKENS
	@runs=$$($(runID)) && id=$${runs%% *} && \
	  $(BIN)/ott-generate --run "data/train/$$id" --prompt $(call literal,PROMPT) --tokens $(TOKENS)

conformance-exchange: $(BUILT) .venv/peers.stamp ## compare exported and imported models with transformers
	$(PEERS_PYTHON) -B Tests/Peers/exchange_conformance.py --bin $(BIN)

harness: .venv/harness.stamp ## add lm-evaluation-harness and OLMo's metrics to the peers' environment
.venv/harness.stamp: .venv/peers.stamp FORCE
	@cat $(peersLists) Tests/Peers/downstream.txt | cmp -s - $@ || { rm -f $@; \
	  .venv/bin/pip install --quiet --requirement Tests/Peers/downstream.txt; \
	  cat $(peersLists) Tests/Peers/downstream.txt >$@; }

conformance-harness: $(BUILT) .venv/harness.stamp ## score exported models with lm-evaluation-harness, beside ours
	$(PEERS_PYTHON) -B Tests/Peers/harness_exports.py --bin $(BIN)
