#!/usr/bin/env python3
"""Races ott-bench against PyTorch and writes results/bench/training.csv; see `make bench`.

    training_bench.py --bin .build/release/ott-bench [--runs 5] [--threads 2] [--only WORK …] \
        --output results/bench/training.csv

Both sides start from the same weights, read the same sentences and do the same steps: forward,
backward, clipping, AdamW. PyTorch's modes are timed briefly first, each in a process of its own; the
best is raced. In the race both processes live side by side and take turns, a group of steps each; a
run is one group of ours and one of theirs, and the ratio is the median over runs (five runs of most
works are 20 steps). Making up the batch is timed for neither. The losses of the first steps must agree,
and in generation the ids drawn with the same uniform numbers, or the exit status is 1.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from race import Racer, largest_difference, summary, write_table

HERE = Path(__file__).parent
GRAMMAR = "data/grammars/cfg3f.grammar"

# Largest relative difference of the loss of one of the first steps, by whether a side multiplies in
# bfloat16: rounding, carried on through the updates.
TOLERANCE = {False: 1e-3, True: 2e-2}

# Without warm-up the loss of some works jumps at a learning rate of 1e-3, so that any rounding shows in
# it after a few steps: these have a rate of their own.
RATE = 1e-3

TRAINING = {
    "train d128": dict(name="d128", layers=12, width=128, heads=2, context=512, vocabulary=40, batch=16, length=512),
    "train d256": dict(name="d256", layers=6, width=256, heads=4, context=256, vocabulary=4096, batch=16, length=256),
    "train d256 over-encoded": dict(name="d256-over-encoded", layers=6, width=256, heads=4, context=256,
                                    vocabulary=4096, batch=16, length=256, slices=4),
    "train d768": dict(name="d768", layers=12, width=768, heads=12, context=512, vocabulary=5, batch=4, length=512,
                       rate=1e-4),
    # Of ours the routers' losses are computed and have no weight; the peer has none.
    "train moe, 16 experts of 128, 4 a token": dict(
        name="moe", layers=4, width=256, heads=4, context=256, vocabulary=512, batch=16, length=256, lanes=2, experts=16,
        topK=4, expertWidth=128),
    "train d128, unequal sentences": dict(name="d128", layers=12, width=128, heads=2, vocabulary=5, batch=16, root=22,
                                          rate=1e-4),
} | {
    f"train d256 heads, {kind} {n}": dict(name="d256", layers=6, width=256, heads=4, context=256, vocabulary=4096,
                                          batch=4, length=256, further=kind, ahead=n)
    for kind, n in [("overDecoding", 2), ("mtp", 2), ("mtpDS", 2), ("mtp", 4)]
} | {
    "train laptop large": dict(name="laptop-large", layers=4, width=64, heads=4, vocabulary=5, batch=64, root=15, steps=100),
    "train laptop d16": dict(name="laptop-small", layers=4, width=16, heads=2, vocabulary=5, batch=64, root=15, steps=300),
    "train laptop small": dict(name="laptop-small", layers=4, width=8, heads=2, vocabulary=5, batch=64, root=15, steps=300),
}
# Ours beside ours, of equal FLOPs a token; rows of a lane that an expert gets on average.
OWN = {
    "train moe beside dense, 128 rows an expert": dict(name="moe", dense="moe-dense", lanes=8, steps=1),
    "train moe beside dense, 256 rows an expert": dict(name="moe", dense="moe-dense", lanes=4, steps=1),
    "train moe beside dense, 512 rows an expert": dict(name="moe", dense="moe-dense", lanes=2, steps=1),
}
GENERATION = {
    "generate 512, laptop large": dict(name="laptop-large", layers=4, width=64, heads=4, vocabulary=5, batch=64, root=15),
    "generate 128, d128": dict(name="d128", layers=12, width=128, heads=2, vocabulary=5, batch=16, root=22,
                               sentences=128),
}
GENERATED = 512
SIDES = (128, 512)
# Steps of a run, but where a work says how many.
STEPS = 4
WARM_UP = 2
# Batches of different sentences; the losses of as many steps are compared, where there are so many.
BATCHES = 22
PROBED_STEPS = 5
PROBED_SECONDS = 3


def words(data):
    return memoryview(data).cast("i")


def probed(name, racer, warm_up=1):
    """Rows a second of a side by itself, the best of a few steps; ends it."""
    if warm_up:
        racer.go(warm_up)
    start = time.monotonic()
    rates = [racer.go(1)]
    while len(rates) < PROBED_STEPS and time.monotonic() - start < PROBED_SECONDS:
        rates.append(racer.go(1))
    peak = racer.finish()
    print(f"  {name}: {max(rates):.0f} tokens/s, peak {peak / 1e6:.0f} MB", flush=True)
    return max(rates)


def precision_options(precision):
    return [] if precision == "float32" else ["--precision", precision]


def memory_row(name):
    return f"{name}, peak memory"


class Bench:
    """Races one work after the other; a row goes into the table as soon as it is there."""

    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.folder = Path(folder)
        self.failed = False

    def ott(self, *words):
        return subprocess.run([self.arguments.bin, *map(str, words)], check=True, capture_output=True, text=True).stdout

    def prepare(self, work, sentences):
        """Writes sentences and weights; returns the options that say the model to ott-bench."""
        tokens, weights = self.folder / "tokens", self.folder / "weights"
        sizes = ["--model", work["name"], "--width", work["width"], "--heads", work["heads"], "--batch", work["batch"],
                 "--vocabulary", work["vocabulary"]]
        if "further" in work:
            sizes += ["--further", work["further"], "--ahead", work["ahead"]]
        if "lanes" in work:
            sizes += ["--lanes", work["lanes"]]
        if "root" in work:
            text = self.ott("tokens", "--grammar", GRAMMAR, "--root", work["root"], "--sentences",
                            sentences, "--output", tokens)
            work["context"] = int(text.split()[-2])
            sizes += ["--context", work["context"], "--length", work["context"]]
        else:
            self.ott("tokens", *sizes, "--sentences", sentences, "--output", tokens)
        self.ott("weights", *sizes, "--output", weights)
        return sizes, tokens, weights

    def ours(self, command, sizes, tokens, weights, *options):
        return Racer([self.arguments.bin, command, *map(str, sizes), "--tokens", str(tokens), "--weights", str(weights),
                      "--threads", str(self.arguments.threads), "--paced", *map(str, options)])

    def peer(self, script, work, tokens, weights, mode, **more):
        words = mode.split()
        job = dict(
            model={k: work[k] for k in ("layers", "width", "heads", "context", "vocabulary", "slices", "further", "ahead",
                                        "experts", "topK", "expertWidth") if k in work},
            tokens=str(tokens), weights=str(weights), batch=work["batch"], learningRate=work.get("rate", RATE),
            threads=1 if "one-thread" in words else self.arguments.threads, mode=words, **more)
        path = self.folder / f"{'-'.join(words)}.json"
        path.write_text(json.dumps(job))
        return Racer([sys.executable, str(HERE / script), str(path)], self.environment())

    def environment(self):
        return dict(TORCHINDUCTOR_CACHE_DIR=self.arguments.cache, OMP_NUM_THREADS=str(self.arguments.threads),
                    TORCHINDUCTOR_COMPILE_THREADS=str(os.cpu_count() or 1))

    def best_mode(self, work, tokens, weights):
        """The fastest of PyTorch's modes: precision first, then layout and compilation in it."""
        rates = {}

        def probe(mode):
            try:
                rates[mode] = probed(f"torch {mode}", self.peer("training_peer.py", work, tokens, weights, mode))
            except RuntimeError as error:
                print(f"  torch {mode}: failed: {error}", flush=True)

        if "experts" in work:
            # Its third way, batched_mm, copies the weights of every token's experts: 25 GB here.
            for implementation in ("eager", "grouped_mm"):
                probe(f"fp32 padded {implementation}")
            implementation = max(rates, key=rates.get).split()[-1]
            probe(f"bf16 padded {implementation}")
            probe(f"{max(rates, key=rates.get).split()[0]} padded {implementation} compiled")
            return max(rates, key=rates.get)
        if "slices" in work:
            for mode in ("fp32 padded", "fp32 padded sparse"):
                probe(mode)
            suffix = " sparse" if max(rates, key=rates.get).endswith("sparse") else ""
            probe(f"bf16 padded{suffix}")
            return max(rates, key=rates.get)
        for mode in ("fp32 padded", "bf16 padded"):
            probe(mode)
        precision = max(rates, key=rates.get).split()[0]
        if "root" in work:
            probe(f"{precision} packed")
            probe(f"{precision} static compiled")
            probe(f"{max(rates, key=rates.get)} one-thread")
        else:
            probe(f"{precision} padded compiled")
        return max(rates, key=rates.get)

    def best_precision(self, command, sizes, tokens, weights):
        """The fastest of our precisions."""
        rates = {}
        for precision in self.arguments.precisions:
            try:
                racer = self.ours(command, sizes, tokens, weights, *precision_options(precision))
            except RuntimeError:
                print(f"  ours {precision}: not on this machine", flush=True)
                continue
            rates[precision] = probed(f"ours {precision}", racer)
        return max(rates, key=rates.get)

    def train(self, name, work):
        print(name, flush=True)
        sizes, tokens, weights = self.prepare(work, BATCHES * work["batch"])
        mode = self.best_mode(work, tokens, weights)
        precision = self.best_precision("train", sizes, tokens, weights)
        ours = self.ours("train", sizes, tokens, weights, *precision_options(precision),
                         "--learning-rate", work.get("rate", RATE))
        theirs = self.peer("training_peer.py", work, tokens, weights, mode)
        self.race(name, ours, theirs, f"{mode}, ours {precision}", work.get("steps", STEPS))
        # SparseAdam leaves rows alone that have no gradient, where AdamW goes on with their moments.
        self.check(name, ours, theirs, "bf16" in mode or "sparse" in mode or precision != "float32")

    def beside_own(self, name, work):
        """One of our models beside another, both on the same sentences."""
        print(name, flush=True)
        tokens = self.folder / "tokens"
        self.ott("tokens", "--model", work["name"], "--sentences", 64, "--output", tokens)
        for precision in self.arguments.precisions:
            try:
                sides = [Racer([self.arguments.bin, "train", "--model", model, "--tokens", str(tokens), "--threads",
                                str(self.arguments.threads), "--lanes", str(work["lanes"]), "--paced",
                                *precision_options(precision)]) for model in (work["name"], work["dense"])]
            except RuntimeError:
                print(f"  ours {precision}: not on this machine", flush=True)
                continue
            suffix = "" if precision == "float32" else f", {precision}"
            pairs = self.take_turns(*sides, work["steps"])
            for side in sides:
                side.finish()
            self.add(summary(name + suffix, "tokens/s", pairs,
                             f"ours, {work['dense']} {precision}; {self.arguments.threads} threads"))

    def race(self, name, ours, theirs, mode, steps):
        """Takes turns, adds the rows of speed and memory, and ends both."""
        pairs = self.take_turns(ours, theirs, steps)
        peaks = ours.finish(), theirs.finish()
        mode = f"torch {mode}; {self.arguments.threads} threads"
        self.add(summary(name, "tokens/s", pairs, mode))
        self.add(summary(memory_row(name), "MB", [tuple(p / 1e6 for p in peaks)], mode, less_is_better=True))

    def take_turns(self, ours, theirs, steps):
        """Rows a second of both, run by run."""
        pairs = []
        for side in (ours, theirs):
            side.go(WARM_UP if steps > 1 else 1)
        for run in range(self.arguments.runs):
            sides = (ours, theirs) if run % 2 == 0 else (theirs, ours)
            rates = {side: side.go(steps) for side in sides}
            pairs.append((rates[ours], rates[theirs]))
        return pairs

    def generate(self, name, work):
        print(name, flush=True)
        sizes, tokens, weights = self.prepare(work, work.get("sentences", GENERATED))
        uniforms, ids, peer_ids = (self.folder / x for x in ("uniforms", "ids", "peer-ids"))
        files = dict(uniforms=str(uniforms), ids=str(peer_ids))
        ours = self.ours("generate", sizes, tokens, weights, "--ids", ids, "--uniforms", uniforms)
        rates = {}

        def probe(mode):
            try:
                rates[mode] = probed(
                    f"torch {mode}", self.peer("generation_peer.py", work, tokens, weights, mode, **files),
                    warm_up=int("compiled" in mode))
            except RuntimeError as error:
                print(f"  torch {mode}: failed: {error}", flush=True)

        for side in SIDES:
            probe(f"fp32 {side}")
        side = max(rates, key=rates.get).split()[1]
        probe(f"bf16 {side}")
        probe(f"{max(rates, key=rates.get)} compiled")
        mode = max(rates, key=rates.get)
        theirs = self.peer("generation_peer.py", work, tokens, weights, mode, **files)
        self.race(name, ours, theirs, mode, 1)
        self.compare(name, ids.read_bytes(), peer_ids.read_bytes(), "bf16" in mode)

    def compare(self, name, ids, peer_ids, is_rounded):
        """In one precision both draw the same ids, but where a draw falls on the border of two."""
        equal = sum(a == b for a, b in zip(words(ids), words(peer_ids))) / max(len(words(ids)), len(words(peer_ids)))
        print(f"  equal ids: {100 * equal:.2f} %", flush=True)
        if equal < (0 if is_rounded else 0.99):
            print(f"{name}: other sentences than the peer's")
            self.failed = True

    def check(self, name, ours, theirs, is_rounded):
        if ours.parameters != theirs.parameters:
            print(f"{name}: {ours.parameters} parameters beside {theirs.parameters}")
            self.failed = True
        count = min(len(ours.losses), BATCHES)
        difference = largest_difference(ours.losses[:count], theirs.losses[:count])
        print(f"  losses of {count} steps, {ours.losses[0]:.4f} to {ours.losses[count - 1]:.4f}: "
              f"largest difference {difference:.1e}", flush=True)
        if difference > TOLERANCE[is_rounded]:
            print(f"{name}: the losses differ by more than {TOLERANCE[is_rounded]}")
            self.failed = True

    def add(self, row):
        names = TRAINING | OWN | GENERATION
        order = [row for name in names for row in (name, name + ", bfloat16", memory_row(name))]
        write_table(self.arguments.output, [row], order)
        print(*row, sep=",", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--cache", default="data/peers/inductor")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--precisions", nargs="*", default=["float32", "bfloat16"], help="of ours")
    parser.add_argument("--only", nargs="*", default=[], help="parts of the names of the rows that are run")
    arguments = parser.parse_args()
    arguments.cache = str(Path(arguments.cache).absolute())
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, folder)
        for name, work in TRAINING.items():
            if not arguments.only or any(part in name for part in arguments.only):
                bench.train(name, work)
        for name, work in OWN.items():
            if not arguments.only or any(part in name for part in arguments.only):
                bench.beside_own(name, work)
        for name, work in GENERATION.items():
            if not arguments.only or any(part in name for part in arguments.only):
                bench.generate(name, work)
    sys.exit(bench.failed)


if __name__ == "__main__":
    main()
