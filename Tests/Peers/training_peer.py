#!/usr/bin/env python3
"""PyTorch's side of `make bench`: trains like `ott-bench train`, with the same output.

    training_peer.py JOB.json

The job names model sizes, files, threads and mode, a list of words: `bf16` (autocast),
`compiled`, and for sentences of unequal length `padded` (to the batch's longest), `static` (to the
longest of all) or `packed` (rows end to end, padded for attention alone). Over-encoding tables are
dense parameters of AdamW, or `sparse`: sparse gradients and SparseAdam. A mixture of experts is that of
transformers, `eager` or `grouped_mm`. A `device` may be named, else it is the CPU.
"""

import itertools
import json
import sys
import time

import numpy as np
import torch

from torch_models import GPT2, grams_of, read_sentences, table_sizes


def model_of(job, words, moduli):
    if "experts" in job["model"]:
        from torch_olmoe import IMPLEMENTATIONS, OLMoE

        implementation = next(w for w in words if w in IMPLEMENTATIONS)
        return OLMoE(**job["model"], implementation=implementation).load(job["weights"])
    return GPT2(**job["model"], moduli=moduli, sparse="sparse" in words).load(job["weights"])


def peak_bytes():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


def batch_of(sentences, layout, longest):
    """Arguments of GPT2.loss, and the number of predicted positions."""
    rows = [len(s) - 1 for s in sentences]
    if layout == "packed":
        T = max(rows)
        places = np.concatenate([np.arange(n) + i * T for i, n in enumerate(rows)])
        parts = [
            np.concatenate([s[:-1] for s in sentences]),
            np.concatenate([np.arange(n) for n in rows]),
            np.concatenate([s[1:] for s in sentences]),
            places,
        ]
        return [torch.from_numpy(p) for p in parts] + [(len(sentences), T)], sum(rows)
    T = longest if layout == "static" else max(rows)
    tokens = np.zeros((len(sentences), T), dtype=np.int64)
    labels = np.full((len(sentences), T), -100, dtype=np.int64)
    for i, s in enumerate(sentences):
        tokens[i, : rows[i]], labels[i, : rows[i]] = s[:-1], s[1:]
    return [torch.from_numpy(tokens), torch.arange(T), torch.from_numpy(labels)], sum(rows)


def clip(dense, sparse):
    """clip_grad_norm_ to 1, which does not know sparse gradients."""
    if not sparse:
        torch.nn.utils.clip_grad_norm_(dense, 1.0, foreach=True)
        return
    for p in sparse:
        p.grad = p.grad.coalesce()
    gradients = [p.grad for p in dense] + [p.grad.values() for p in sparse]
    norm = torch.stack(torch._foreach_norm(gradients)).norm()
    torch._foreach_mul_(gradients, (1 / (norm + 1e-6)).clamp(max=1))


def wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


def main(job):
    words = job["mode"]
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    sentences = read_sentences(job["tokens"])
    longest = max(len(s) for s in sentences) - 1
    layout = next((w for w in words if w in ("padded", "static", "packed")), "padded")
    moduli = table_sizes(job["weights"])
    device = job.get("device", "cpu")
    model = model_of(job, words, moduli).to(device)
    tables = model.tables()
    trunk = [p for p in model.parameters() if all(p is not t for t in tables)]
    sparse = tables if "sparse" in words else []
    decayed = [p for p in trunk if p.dim() > 1]
    plain = [p for p in trunk if p.dim() == 1] + (tables if not sparse else [])
    adam = dict(lr=job["learningRate"], betas=(0.9, 0.98), eps=1e-8)
    optimizers = [torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}], fused=True, **adam)]
    if sparse:
        optimizers.append(torch.optim.SparseAdam(sparse, **adam))
    loss_of = model.loss
    if "compiled" in words:
        loss_of = torch.compile(model.loss, dynamic=layout == "packed")
    print("ready", sum(p.numel() for p in model.parameters()), flush=True)
    steps = itertools.count()
    for _ in (None for line in sys.stdin for _ in range(int(line))):
        step = next(steps)
        chosen = [sentences[(step * job["batch"] + i) % len(sentences)] for i in range(job["batch"])]
        arguments, rows = batch_of(chosen, layout, longest)
        if moduli:
            grams = grams_of(arguments[0].numpy(), moduli, model.slices, model.vocabulary)
            arguments += [None, None, [g.to(device) for g in grams]]
        arguments[:3] = [a.to(device) for a in arguments[:3]]
        if layout == "packed":
            arguments[3] = arguments[3].to(device)
        wait(device)
        start = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled="bf16" in words):
            loss, objective = loss_of(*arguments)
        objective.backward()
        clip(trunk if sparse else list(model.parameters()), sparse)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        wait(device)
        seconds = time.perf_counter() - start
        print("step", step + 1, loss.item(), rows, seconds, flush=True)
    print("peak", peak_bytes(), flush=True)


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        main(json.load(file))
