# Every benchmark: training and generation beside PyTorch, tokenizers beside theirs, where the time of a
# step goes. Included by the Makefile, whose BIN, BUILT, CORES and peers it uses, behind
# pipeline/tokenizers.mk, whose VOCABULARIES it uses.

BENCH ?=## rows of bench, parts of their names: laptop, d128, heads, moe, generate (default: all)
BENCH_RUNS ?= 5## runs of each row of bench, bench-determinism and bench-tokenizers
BENCH_CORPUS ?= data/corpus/default/train/anarchism.jsonl## JSON lines that bench-tokenizers times
BENCH_MODEL ?= d128## sizes that bench-step times: d128, d256, d768, moe, moe-dense, laptop-large, laptop-small

TABLE_ROWS ?= 100000,1280000## rows m of the tables that table-speed times; 12800000 takes 20 GB
TABLE_STEPS ?= 60## timed steps of each
TABLE_MOMENTS ?= float32## moments of the tables: float32, bfloat16 (13 GB at 12800000), rowwise

DRAFT_STEPS ?= 200## steps of training of the models that bench-drafts generates with

STORE_WORK ?= .build/bench-store## directory of bench-store for stores of 3.8 GB together

BENCH_VARIABLES := BENCH BENCH_RUNS BENCH_CORPUS BENCH_MODEL STORE_WORK TABLE_ROWS TABLE_STEPS TABLE_MOMENTS DRAFT_STEPS

.PHONY: bench bench-step bench-heads bench-fgrams bench-drafts bench-scaling bench-determinism bench-tokenizers bench-discover bench-store bench-serving server-check precision-study table-speed

bench: $(BUILT) .venv/peers.stamp ## race training and generation against PyTorch: results/bench/training.csv
	$(PEERS_PYTHON) Tests/Peers/training_bench.py --bin $(BIN)/ott-bench --runs $(BENCH_RUNS) \
	  --threads $(or $(THREADS),$(CORES)) --output results/bench/training.csv $(if $(BENCH),--only $(BENCH))

bench-step: $(BUILT) ## time every operation of a step of BENCH_MODEL, in PRECISION: results/bench/step-MODEL.csv
	$(BIN)/ott-bench step --model $(BENCH_MODEL) --threads $(or $(THREADS),$(CORES)) \
	  $(addprefix --precision ,$(PRECISION)) --output results/bench/step-$(BENCH_MODEL)$(addprefix -,$(PRECISION)).csv

bench-heads: $(BUILT) ## time a step with heads on tokens further ahead: results/bench/heads.csv
	$(BIN)/ott-bench heads --model d256 --batch 4 --threads $(or $(THREADS),$(CORES)) \
	  $(addprefix --precision ,$(PRECISION)) --output results/bench/heads$(addprefix -,$(PRECISION)).csv

bench-fgrams: $(BUILT) ## time a step with f-grams beside what their FLOPs say: results/bench/fgrams.csv
	$(BIN)/ott-bench fgrams --model d256 --batch 8 --threads $(or $(THREADS),$(CORES)) \
	  $(addprefix --precision ,$(PRECISION)) --output results/bench/fgrams$(addprefix -,$(PRECISION)).csv

bench-drafts: $(BUILT) ## time generation in which such heads propose tokens: results/bench/drafts.csv
	$(BIN)/ott-bench drafts --model d256 --batch 8 --side 1 --sentences 40 --ahead 4 --steps $(DRAFT_STEPS) \
	  --threads $(or $(THREADS),$(CORES)) --output results/bench/drafts.csv

bench-scaling: $(BUILT) ## time a step by each of its sizes beside the plan, in PRECISION: results/bench/scaling.csv
	$(BIN)/ott-bench scaling --threads $(or $(THREADS),$(CORES)) $(addprefix --precision ,$(PRECISION)) \
	  --output results/bench/scaling$(addprefix -,$(PRECISION)).csv

server-check: $(BUILT) ## what this machine's processors compute and how fast: results/bench/server.csv (6 minutes)
	tools/server-check --bin $(BIN) $(addprefix --threads ,$(THREADS)) --output results/bench/server.csv

bench-determinism: $(BUILT) ## what bits that no thread count changes cost a step: results/bench/determinism.csv
	python3 Tests/Peers/determinism_bench.py --bin $(BIN)/ott-bench --threads $(or $(THREADS),$(CORES)) \
	  --runs $(BENCH_RUNS) --output results/bench/determinism.csv

bench-tokenizers: $(BUILT) $(VOCABULARIES) ## time encoding and training beside the peers: results/bench/tokenizers.csv
	@[ -e '$(BENCH_CORPUS)' ] || $(MAKE) corpus
	$(PEERS_PYTHON) Tests/Peers/tokenizers_bench.py --bin $(BIN)/ott-bench \
	  --vocabularies $(dir $(VOCABULARIES)) --runs $(BENCH_RUNS) \
	  --output results/bench/tokenizers.csv '$(BENCH_CORPUS)'

bench-discover: $(BUILT) ## time the discovery of f-grams in a made-up text: results/bench/discover.csv
	$(BIN)/ott-bench discover --threads $(or $(THREADS),$(CORES)) --output results/bench/discover.csv

# 5 GB for both stores, which stay there.
bench-store: $(BUILT) .venv/peers.stamp ## time reading f-grams from memory and disk beside LMDB: results/bench/store.csv
	$(PEERS_PYTHON) Tests/Peers/store_bench.py --bin $(BIN)/ott-bench --work $(STORE_WORK) --runs $(BENCH_RUNS) \
	  --output results/bench/store.csv

bench-serving: $(BUILT) ## time generation with rows of f-grams from memory, disk and their model: results/bench/serving.csv
	$(BIN)/ott-bench serving --model d256 --work $(STORE_WORK)/serving --runs $(BENCH_RUNS) --output results/bench/serving.csv

# Each figure in a make of its own: a preset in another precision has rules of its own.
precision-study: $(BUILT) ## figure2 of PRESET in both precisions: results/bench/precision-PRESET.csv
	+$(MAKE) --no-print-directory figure2 PRESET=$(PRESET) PRECISION=
	+$(MAKE) --no-print-directory figure2 PRESET=$(PRESET) PRECISION=bfloat16
	$(BIN)/ott-bench precision --float32 results/$(PRESET)/figure2.json \
	  --bfloat16 results/$(PRESET)-bfloat16/figure2.json --output results/bench/precision-$(PRESET).csv

table-speed: $(BUILT) ## time over-encoding's tables of TABLE_ROWS rows: results/bench/table-speed.csv
	$(BIN)/ott-bench table --model d128 --vocabulary 4096 --rows $(TABLE_ROWS) --steps $(TABLE_STEPS) \
	  --moments $(TABLE_MOMENTS) \
	  --threads $(or $(THREADS),$(CORES)) --output results/bench/table-speed.csv
