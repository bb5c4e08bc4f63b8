# Models from and for others: Hugging Face directories. Included by the Makefile, whose BIN, BUILT, FIGURE,
# PRESET, RUN and peers it uses. docs/EXPORT.md describes them.

TO ?=## directory that export writes (default: data/export/ID)
EXCHANGE_VARIABLES := TO

.PHONY: export conformance-exchange
export: $(BUILT) ## write a run as a Hugging Face directory: FIGURE, PRESET, RUN (its name in the plan), TO
	@runs=$$($(BIN)/ott-plan list --preset '$(PRESET)' --figure '$(call alias,$(FIGURE))' --stage train \
	  --run $(call literal,RUN)) && id=$${runs%% *} && to=$(call literal,TO) && \
	  $(BIN)/ott-export --run "data/train/$$id" --to "$${to:-data/export/$$id}"

conformance-exchange: $(BUILT) .venv/peers.stamp ## compare exported and imported models with transformers
	$(PEERS_PYTHON) -B Tests/Peers/exchange_conformance.py --bin $(BIN)
