#!/usr/bin/env python3
"""Times ott-bench tokenizers and its peers side by side and writes results/bench/tokenizers.csv.

    tokenizers_bench.py --bin .build/release/ott-bench --vocabularies DIR \
        --output results/bench/tokenizers.csv [--runs 5] [--megabytes 0] CORPUS.jsonl

Every run is a fresh process: the documents are in memory, the clock stands around the work alone and
all ids are written. Runs of ours and of a peer alternate; ratio is peer seconds / our seconds, the
median of the pairs, with their least and greatest. `cold` is the first pass of a process, `warm` the
third over the same documents. Ids, and for training merges, must be equal, or the exit status is 1.
The long-piece rows compare us with ourselves: 1 MiB of one repeated piece against the corpus, cold.
"""

import argparse
import csv
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tools"))
from writing import write_csv

# A child process: argument 1 names the work; prints "seconds digest" for each pass.
CHILD = r'''
import hashlib, json, os, sys, time
work, threads, path, vocabulary, passes = sys.argv[1:6]
texts = open(path, "rb").read().decode().split("\0")[:-1]
peer, kind, name = work.split("/")
def digest(rows):
    import numpy as np
    h = hashlib.sha256()
    for row in rows: h.update(np.asarray(row, dtype=np.uint32).tobytes())
    return h.hexdigest()
def merges_digest(pairs):
    h = hashlib.sha256()
    for a, b in pairs: h.update(f"{a} {b}\n".encode())
    return h.hexdigest()
if kind == "encode":
    if peer == "tiktoken":
        import tiktoken, tiktoken.load, tiktoken_ext.openai_public as public
        pattern = public.r50k_pat_str
        if name.startswith("cl100k"):
            source = open(public.__file__).read()
            pattern = next(l for l in source.splitlines() if "p{N}{1,3}+" in l).split('r"""')[1].split('"""')[0]
        encoding = tiktoken.Encoding(name, pat_str=pattern, special_tokens={},
            mergeable_ranks=tiktoken.load.load_tiktoken_bpe(vocabulary))
        run = lambda: [encoding.encode_to_numpy(t, disallowed_special=()) for t in texts]
        if int(threads) > 1:
            run = lambda: encoding.encode_ordinary_batch(texts, num_threads=int(threads))
    elif peer == "tokenizers":
        from tokenizers import Tokenizer
        tokenizer = Tokenizer.from_file(vocabulary)
        run = lambda: [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
    else:
        from gigatoken.gigatoken_rs import BPETokenizer
        scheme = "gpt4" if name.startswith("cl100k") else "gpt2"
        tokenizer = (BPETokenizer.from_hf(vocabulary) if vocabulary.endswith(".json")
                     else BPETokenizer.from_tiktoken(vocabulary, scheme))
        data = [t.encode() for t in texts]
        run = lambda: tokenizer.encode_batch(data, parallel=int(threads) > 1)
    for _ in range(int(passes)):
        start = time.perf_counter(); rows = run(); seconds = time.perf_counter() - start
        last = rows
        print(seconds, "-", flush=True)
    print("digest", digest(last))
else:
    size = int(name)
    if peer == "tokenizers":
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, special_tokens=[],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
        start = time.perf_counter(); tokenizer.train_from_iterator(texts, trainer)
        print(time.perf_counter() - start, "-")
        pairs = json.loads(tokenizer.to_str())["model"]["merges"]
        print("digest", merges_digest(p if isinstance(p, list) else p.split(" ") for p in pairs))
    else:
        from gigatoken.gigatoken_rs import train_bpe
        data = "\0".join(texts).encode()
        start = time.perf_counter(); train_bpe(data, size, [], separator=b"\0")
        print(time.perf_counter() - start, "-")
        print("digest", "-")
'''


def documents(path, megabytes, output):
    limit = megabytes * 1_000_000 or float("inf")
    total = 0
    with open(path, encoding="utf-8") as lines, open(output, "wb") as file:
        for line in lines:
            text = json.loads(line)["text"].replace("\0", "").encode()
            if text:
                file.write(text + b"\0")
                total += len(text)
            if total >= limit:
                break
    return total


def merges_digest(path):
    digest = hashlib.sha256()
    for merge in json.loads(Path(path).read_text())["model"]["merges"]:
        digest.update((merge + "\n").encode())
    return digest.hexdigest()


class Bench:
    def __init__(self, arguments, folder):
        self.bin = arguments.bin
        self.runs = arguments.runs
        self.vocabularies = arguments.vocabularies
        self.folder = Path(folder)
        self.texts = self.folder / "texts"
        self.rows = []
        self.failed = False

    def ours_encode(self, name, threads, passes, texts=None):
        ids = self.folder / "ids"
        result = subprocess.run(
            [self.bin, "tokenizers", "encode", "--tokenizer", self.vocabularies / name, "--threads", str(threads),
             "--passes", str(passes), "--ids", ids, "--ordinary", texts or self.texts],
            check=True, capture_output=True, text=True)
        lines = [line.split() for line in result.stdout.splitlines()]
        digest = hashlib.sha256(ids.read_bytes()).hexdigest()
        return [float(line[1]) for line in lines], digest, int(lines[-1][3])

    def ours_train(self, size, threads):
        output = self.folder / "ours.json"
        result = subprocess.run(
            [self.bin, "tokenizers", "train", "--vocabulary", str(size), "--threads", str(threads), "--output",
             output, self.texts], check=True, capture_output=True, text=True)
        return [float(result.stdout.split()[0])], merges_digest(output), 0

    def peer(self, work, threads, vocabulary, passes):
        environment = dict(os.environ, RAYON_NUM_THREADS=str(threads), TOKENIZERS_PARALLELISM="true")
        result = subprocess.run(
            [sys.executable, "-c", CHILD, work, str(threads), self.texts, str(vocabulary),
             str(passes)], check=True, capture_output=True, text=True, env=environment)
        lines = [line.split() for line in result.stdout.splitlines()]
        times = [float(line[0]) for line in lines if line[0] != "digest" and line[1] == "-"]
        return times, lines[-1][1]

    def compare(self, work, unit, mode, ours, peer, pass_index, megabytes):
        """Alternates ours and the peer; adds a row."""
        pairs = []
        for _ in range(self.runs):
            our_times, our_digest, cache = ours()
            peer_times, peer_digest = peer()
            pairs.append((our_times[pass_index], peer_times[pass_index]))
            if peer_digest not in ("-", our_digest):
                print(f"{work}: {mode}: other ids or merges than the peer's")
                self.failed = True
        ratios = [theirs / mine for mine, theirs in pairs]
        scale = (lambda s: megabytes / s) if unit == "MB/s" else (lambda s: s)
        row = [work, unit, f"{scale(statistics.median(p[0] for p in pairs)):.4g}",
               f"{scale(statistics.median(p[1] for p in pairs)):.4g}",
               mode + (f"; our cache {cache} B" if cache else ""),
               f"{statistics.median(ratios):.3g}", f"{min(ratios):.3g}", f"{max(ratios):.3g}",
               self.runs]
        self.rows.append(row)
        print(*row, sep=",", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--vocabularies", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--megabytes", type=float, default=0)
    parser.add_argument("--peers", nargs="*", default=["tiktoken", "tokenizers", "gigatoken"])
    parser.add_argument("corpus")
    arguments = parser.parse_args()
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, folder)
        megabytes = documents(arguments.corpus, arguments.megabytes, bench.texts) / 1e6
        size = f"{megabytes:.1f} MB"
        for peer, name, threads, passes in [
                ("tiktoken", "cl100k_base.tiktoken", 1, [0]),
                ("tokenizers", "dolma2.json", cores, [0]),
                *(("gigatoken", name, threads, [0, 2]) for threads in dict.fromkeys([1, cores])
                  for name in ("cl100k_base.tiktoken", "gpt2.tiktoken"))]:
            if peer not in arguments.peers:
                continue
            for index in passes:
                mode = f"{peer}; {size}; {'warm' if index else 'cold'}; {threads} threads; ids written"
                bench.compare(
                    f"encode {name}", "MB/s", mode,
                    lambda: bench.ours_encode(name, threads, index + 1),
                    lambda: bench.peer(f"{peer}/encode/{name}", threads,
                                       arguments.vocabularies / name, index + 1), index, megabytes)
        for peer in ["tokenizers", "gigatoken"]:
            if peer in arguments.peers:
                mode = f"{peer}; {size}; cold; {cores} threads; pattern gpt2"
                bench.compare("train 32768", "s", mode, lambda: bench.ours_train(32768, cores),
                              lambda: bench.peer(f"{peer}/train/32768", cores, "-", 1), 0, megabytes)
        normal = statistics.median(
            megabytes / bench.ours_encode("cl100k_base.tiktoken", 1, 1)[0][0]
            for _ in range(arguments.runs))
        for label, piece in {"x": "x", "space": " ", "line end": "\n", "digit": "7", "letter é": "é",
                             "quote": "'", "ab": "ab"}.items():
            path = bench.folder / "piece"
            data = piece.encode() * ((1 << 20) // len(piece.encode()))
            path.write_bytes(data + b"\0")
            rates = [len(data) / 1e6 / bench.ours_encode("cl100k_base.tiktoken", 1, 1, path)[0][0]
                     for _ in range(arguments.runs)]
            ratios = [rate / normal for rate in rates]
            row = [f"encode 1 MiB of {label}", "MB/s", f"{statistics.median(rates):.4g}",
                   f"{normal:.4g}", f"ourselves; {size}; cold; 1 threads", *(
                       f"{f(ratios):.3g}" for f in (statistics.median, min, max)), arguments.runs]
            bench.rows.append(row)
            print(*row, sep=",", flush=True)
        write_csv(arguments.output, [
            ["work", "unit", "ours", "peer", "peer_mode", "ratio", "ratio_low", "ratio_high", "runs"],
            *bench.rows])
    sys.exit(bench.failed)


main()
