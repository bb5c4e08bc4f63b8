# Models from and for others: Hugging Face directories. Included by the Makefile, whose BIN, BUILT, FIGURE,
# PRESET, RUN and peers it uses. docs/EXPORT.md describes them.

TO ?=## directory that export writes (default: data/export/ID)
EXCHANGE_VARIABLES := TO

.PHONY: export conformance-exchange conformance-harness harness
export: $(BUILT) ## write a run as a Hugging Face directory: FIGURE, PRESET, RUN (its name in the plan), TO
	@runs=$$($(BIN)/ott-plan list --preset '$(PRESET)' --figure '$(call alias,$(FIGURE))' --stage train \
	  --run $(call literal,RUN)) && id=$${runs%% *} && to=$(call literal,TO) && \
	  $(BIN)/ott-export --run "data/train/$$id" --to "$${to:-data/export/$$id}"

conformance-exchange: $(BUILT) .venv/peers.stamp ## compare exported and imported models with transformers
	$(PEERS_PYTHON) -B Tests/Peers/exchange_conformance.py --bin $(BIN)

harness: .venv/harness.stamp ## add lm-evaluation-harness and OLMo's metrics to the peers' environment
.venv/harness.stamp: .venv/peers.stamp FORCE
	@cat $(peersLists) Tests/Peers/downstream.txt | cmp -s - $@ || { rm -f $@; \
	  .venv/bin/pip install --quiet --requirement Tests/Peers/downstream.txt; \
	  cat $(peersLists) Tests/Peers/downstream.txt >$@; }

conformance-harness: $(BUILT) .venv/harness.stamp ## score exported models with lm-evaluation-harness, beside ours
	$(PEERS_PYTHON) -B Tests/Peers/harness_exports.py --bin $(BIN)
