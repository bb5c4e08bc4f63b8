#!/usr/bin/env python3
"""PyTorch's side of generation in `make bench`: batches with a static key-value cache, from which
finished sentences leave; the same output as `ott-bench generate`.

    generation_peer.py JOB.json

Sentences side by side stand at one position, so that no step needs a mask. Words of the mode: `bf16`
(weights and cache), `compiled`, and the number of sentences side by side.
"""

import itertools
import json
import sys
import time

import numpy as np
import torch

from torch_models import GPT2, read_sentences
from training_peer import peak_bytes

BOS, EOS = 0, 1
SPARED = 0.8


class Generator:
    def __init__(self, job):
        words = job["mode"]
        self.side = next(int(w) for w in words if w.isdigit())
        self.dtype = torch.bfloat16 if "bf16" in words else torch.float32
        self.model = GPT2(**job["model"]).load(job["weights"]).to(self.dtype).eval()
        self.step = self.model.step
        if "compiled" in words:
            self.step = torch.compile(self.model.step, dynamic=True)
        self.sizes = job["model"]
        self.rows = [len(s) - 1 for s in read_sentences(job["tokens"])]
        numbers = np.fromfile(job["uniforms"], dtype="<f8")
        self.uniforms = np.split(numbers, np.cumsum(self.rows)[:-1])

    def parameters(self):
        return sum(p.numel() for p in self.model.parameters())

    @torch.inference_mode()
    def run(self):
        """All sentences once: lists of ids without marks."""
        result = []
        for first in range(0, len(self.rows), self.side):
            result += self.batch(range(first, min(first + self.side, len(self.rows))))
        return result

    def batch(self, sentences):
        s = self.sizes
        rows = torch.tensor([self.rows[i] for i in sentences])
        T, B = int(rows.max()), len(sentences)
        draws = torch.zeros(B, T, dtype=torch.float64)
        for n, i in enumerate(sentences):
            draws[n, : self.rows[i]] = torch.from_numpy(self.uniforms[i])
        caches = [
            torch.zeros(2, B, s["heads"], T, s["width"] // s["heads"], dtype=self.dtype) for _ in range(s["layers"])
        ]
        ids = torch.zeros(B, T, dtype=torch.int64)
        live = torch.arange(B)
        tokens = torch.full((B,), BOS)
        for position in range(T):
            logits = self.step(tokens, caches, torch.tensor([position]), position + 1).double()
            logits[:, : EOS + 1] = -torch.inf
            sums = logits.softmax(1).cumsum(1)
            tokens = (sums <= draws[live, position, None] * sums[:, -1:]).sum(1)
            tokens.clamp_(max=logits.shape[1] - 1)
            ids[live, position] = tokens
            going = rows[live] > position + 1
            count = int(going.sum())
            if count == 0:
                break
            # Dropping rows copies the cache: done when a fifth of them has nothing more to say.
            if count <= SPARED * len(live):
                kept = going.nonzero()[:, 0]
                live, tokens = live[kept], tokens[kept]
                caches = [cache.index_select(1, kept) for cache in caches]
        return [ids[n, : n_rows - 1].tolist() for n, n_rows in enumerate(rows.tolist())]


def main(job):
    torch.set_num_threads(job["threads"])
    generator = Generator(job)
    print("ready", generator.parameters(), flush=True)
    steps = itertools.count(1)
    for _ in (None for line in sys.stdin for _ in range(int(line))):
        start = time.perf_counter()
        ids = generator.run()
        print("step", next(steps), len(ids), sum(generator.rows), time.perf_counter() - start, flush=True)
    if job["ids"]:
        words = np.concatenate([[len(ids)], [len(x) for x in ids], np.concatenate(ids)])
        words.astype("<i4").tofile(job["ids"])
    print("peak", peak_bytes(), flush=True)


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        main(json.load(file))
