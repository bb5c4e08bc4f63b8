# Ranks: several processes that share a training, on one machine or many. Included by the Makefile, whose
# BIN, BUILT, CORES, THREADS, SEED and literal it uses. docs/CLUSTER.md tells how they are started.

BENCH_RANKS ?= 1,2,4## ranks that bench-ranks times
BENCH_RANKS_MODELS ?= d128,d256## sizes that bench-ranks times, without tables and with them
BENCH_RANKS_RUNS ?= 3## rounds of bench-ranks
BENCH_RANKS_NETWORKS ?= 10gbit,1gbit## links between hosts that bench-ranks makes up (root); empty for none
KILLS ?= 50## of torture-ranks: ranks that are killed or stopped

RANK_VARIABLES := BENCH_RANKS BENCH_RANKS_MODELS BENCH_RANKS_RUNS BENCH_RANKS_NETWORKS KILLS

.PHONY: mpi bench-ranks ranks-model torture-ranks cluster-check

mpi: $(BUILT) ## build what ranks need of each MPI that is installed
	@tools/build-mpi $(BIN)

bench-ranks: $(BUILT) mpi ## time a step over ranks and networks, with tables and without: results/bench/ranks.csv
	tools/bench-ranks --bin $(BIN) --ranks $(call literal,BENCH_RANKS) --cores $(or $(THREADS),$(CORES)) \
	  --runs $(call literal,BENCH_RANKS_RUNS) --models $(call literal,BENCH_RANKS_MODELS) \
	  --networks $(call literal,BENCH_RANKS_NETWORKS) --output results/bench/ranks.csv

ranks-model: ## say what those times are made of, and what 1,024 ranks would cost
	tools/ranks-model results/bench/ranks.csv

torture-ranks: $(BUILT) mpi ## kill and stop ranks at random moments, go on with others: results/ranks.csv
	tools/torture-ranks --bin $(BIN) --kills $(call literal,KILLS) --seed $(call literal,SEED) --output results/ranks.csv

# Slurm is told of more processors than there are: what is checked is not how fast it is.
cluster-check: $(BUILT) ## check ranks and figures with a real Slurm on this machine, set up and taken down (root)
	@tools/install-dependencies --for-cluster
	@tools/build-mpi $(BIN)
	tools/slurm-here 16 tools/cluster-check --bin $(BIN)
