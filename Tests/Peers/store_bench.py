#!/usr/bin/env python3
"""Reading f-gram embeddings: our store beside LMDB as "Scaling Embedding Layers in Language Models" uses it.

    Tests/Peers/store_bench.py --bin .build/release/ott-bench --work DIR --output results/bench/store.csv

Both hold the same f-grams with rows of the same bytes. A query is the last tokens of a window: find the
longest f-gram at its end and read its row as single precision. LMDB has a key of 4 bytes a token and the row as
the value, put in the order of keys (append), read by one transaction a batch from the longest key down; its
numbers are widened by numpy, a batch at a time. Warm: everything was read before. Cold: the system was asked to
forget the file first, and each query is new. Runs alternate; a row's ratio is LMDB's time by ours.
"""

import argparse
import csv
import io
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import lmdb
import numpy as np

from race import summary, write_table

LONGEST = 5


def fgrams(store):
    """The tokens of all f-grams in the order of their rows, from the file of keys."""
    content = np.fromfile(store / "keys", np.uint8, offset=4096)
    counts = content[:8 * (LONGEST - 1)].view(np.uint64).astype(np.int64)
    header = np.fromfile(store / "keys", np.uint64, 10)
    prefixes = int(header[2])
    rounded = lambda size: (size + 63) & ~63
    place = rounded(8 * (LONGEST - 1))
    before = np.arange(prefixes, dtype=np.uint32)[:, None]
    levels = []
    for count in map(int, counts):
        starts = content[place:place + 4 * (prefixes + 1)].view(np.uint32)
        place += rounded(4 * (prefixes + 1))
        tokens = content[place:place + 4 * count].view(np.uint32)
        place += rounded(4 * count)
        prefix = np.repeat(np.arange(prefixes), np.diff(starts.astype(np.int64)))
        before = np.concatenate([before[prefix], tokens[:, None]], axis=1)
        levels.append(before)
        prefixes = count
    return levels


class LMDBStore:
    def __init__(self, path, width):
        self.width = width
        self.path = path
        self.open()

    def open(self):
        self.environment = lmdb.open(
            str(self.path), readonly=True, lock=False, readahead=False, max_dbs=0)

    @staticmethod
    def make(path, levels, rows, row_bytes, value_bytes):
        shutil.rmtree(path, ignore_errors=True)
        entries, start = [], 0
        for level in levels:
            # Big-endian, so that the order of bytes is that of tokens.
            keys = level.astype(">u4").tobytes()
            size = 4 * level.shape[1]
            entries += [(keys[i * size:(i + 1) * size], start + i) for i in range(len(level))]
            start += len(level)
        entries.sort()
        environment = lmdb.open(str(path), map_size=1 << 40, lock=False)
        for first in range(0, len(entries), 50_000):
            with environment.begin(write=True) as transaction:
                for key, row in entries[first:first + 50_000]:
                    at = 4096 + row * row_bytes
                    transaction.put(key, rows[at:at + value_bytes], append=True)
        environment.sync(True)
        environment.close()

    def read(self, keys, output):
        """The rows of a batch, given the keys to try for each query; returns how many were found."""
        found = 0
        with self.environment.begin(buffers=True) as transaction:
            get = transaction.get
            halves = self.halves[:len(keys)]
            for i, tries in enumerate(keys):
                for key in tries:
                    value = get(key)
                    if value is not None:
                        halves[i] = np.frombuffer(value, np.uint16)
                        found += 1
                        break
            np.left_shift(halves, 16, out=output[:len(keys)], dtype=np.uint32, casting="unsafe")
        return found

    def measure(self, tries, batch, runs):
        output = np.zeros((batch, self.width), np.uint32)
        self.halves = np.zeros((batch, self.width), np.uint16)
        best = float("inf")
        for _ in range(runs):
            begin = time.perf_counter()
            for first in range(0, len(tries) - batch + 1, batch):
                self.read(tries[first:first + batch], output)
            best = min(best, time.perf_counter() - begin)
        return best / (len(tries) // batch * batch) * 1e6

    def forget(self):
        self.environment.close()
        with open(self.path / "data.mdb", "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self.open()


def tries(windows):
    """For each window the keys of its last tokens, from the longest down."""
    keys = windows.astype(">u4")
    return [[keys[i, start:].tobytes() for start in range(LONGEST - 1)] for i in range(len(keys))]


def ours(options, store, queries, batches):
    """Microseconds a token of our store, by (placement, state, batch)."""
    result = subprocess.run(
        [options.bin, "store", "read", "--store", str(store), "--batches",
         ",".join(map(str, batches)), "--windows", str(options.windows), "--cold-windows",
         str(options.cold_windows), "--queries", str(queries)],
        check=True, capture_output=True, text=True)
    return {(row["placement"], row["state"], int(row["batch"])): float(row["microseconds_per_token"])
            for row in csv.DictReader(io.StringIO(result.stdout))}


def disk_bytes(path):
    return sum(file.stat().st_blocks * 512 for file in Path(path).iterdir())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True)
    parser.add_argument("--work", required=True, help="directory for both stores; kept")
    parser.add_argument("--output", required=True)
    parser.add_argument("--vocabulary", type=int, default=1024, help="a token has about 306 f-grams")
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--batches", default="1,4,16,64,256,1024")
    parser.add_argument("--windows", type=int, default=65_536)
    parser.add_argument("--cold-windows", type=int, default=2_048)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    store, other = Path(options.work) / "store", Path(options.work) / "lmdb"
    if not (store / "index.json").exists():
        subprocess.run([options.bin, "store", "make", "--vocabulary", str(options.vocabulary),
                        "--width", str(options.width), "--output", str(store)], check=True)
    if not other.exists():
        rows = np.memmap(store / "rows", np.uint8, "r")
        LMDBStore.make(other, fgrams(store), rows, (2 * options.width + 63) & ~63, 2 * options.width)
    batches = list(map(int, options.batches.split(",")))
    queries = Path(options.work) / "queries"
    peer = LMDBStore(other, options.width)
    pairs = {}
    for run in range(options.runs):
        own = ours(options, store, queries, batches)
        windows = np.fromfile(queries, np.uint32).reshape(-1, LONGEST)
        warm = tries(windows)
        peer.measure(warm, 64, 1)
        for batch in batches:
            theirs = peer.measure(warm, batch, 3)
            for placement in ("memory", "disk"):
                pairs.setdefault((placement, "warm", batch), []).append(
                    (own[placement, "warm", batch], theirs))
        random = np.random.default_rng(run)
        for batch in batches:
            peer.forget()
            some = random.choice(len(windows), options.cold_windows, replace=False)
            theirs = peer.measure([warm[i] for i in some], batch, 1)
            pairs.setdefault(("disk", "cold", batch), []).append((own["disk", "cold", batch], theirs))
    table = [summary(f"f-gram rows from {placement}, {state}, batch {batch}", "us/token", values,
                     "lmdb", less_is_better=True)
             for (placement, state, batch), values in sorted(pairs.items())]
    table.append(summary("f-gram rows, bytes on disk", "bytes",
                         [(disk_bytes(store), disk_bytes(other))], "lmdb", less_is_better=True))
    write_table(options.output, table, [row[0] for row in table])
    csv.writer(sys.stdout).writerows(table)


if __name__ == "__main__":
    main()
