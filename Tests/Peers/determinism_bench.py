#!/usr/bin/env python3
"""What the same bits on any number of threads cost: a training step with fixed lanes beside the free cut.

    Tests/Peers/determinism_bench.py --bin .build/release/ott-bench --threads 2 --output results/bench/determinism.csv

Gradients are summed over a fixed number of lanes as a binary tree. A program that cares for speed only
would cut the batch into as many lanes as it has threads, with other bits for other machines. Both take
turns, group by group; the ratio is the rate of the fixed cut by the rate of the free one.
"""

import argparse
import os
import statistics

from race import Racer, write_csv

MODELS = {"laptop-small": 300, "laptop-large": 60, "d128": 1}
LANES = (4, 16)


def measure(options, model, lanes):
    """Rates with fixed lanes by rates with a lane a thread, one ratio a run."""
    racers = [Racer([options.bin, "train", "--paced", "--model", model, "--threads",
                     str(options.threads), "--lanes", str(count)])
              for count in (lanes, options.threads)]
    for racer in racers:
        racer.go(MODELS[model])
    ratios = []
    for _ in range(options.runs):
        fixed, free = (racer.go(MODELS[model]) for racer in racers)
        ratios.append(fixed / free)
    for racer in racers:
        racer.finish()
    return ratios


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True)
    parser.add_argument("--threads", type=int, default=2, help="a power of two")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--output", required=True)
    options = parser.parse_args()
    rows = []
    for model in MODELS:
        for lanes in LANES:
            if lanes <= options.threads:
                continue
            ratios = measure(options, model, lanes)
            rows.append([model, lanes, options.threads, f"{statistics.median(ratios):.3f}",
                         f"{min(ratios):.3f}", f"{max(ratios):.3f}", len(ratios)])
            print(f"{model}, {lanes} lanes on {options.threads} threads: {rows[-1][3]} "
                  f"[{rows[-1][4]}, {rows[-1][5]}] of the rate with a lane a thread", flush=True)
    write_csv(options.output, [
        ["model", "lanes", "threads", "ratio", "ratio_low", "ratio_high", "runs"], *rows])


main()
