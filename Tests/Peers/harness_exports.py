"""Scores exported models with lm-evaluation-harness, beside what stage downstream makes of their runs.

    make conformance-harness

Small runs of every kind of input and trunk are made and exported (exchange_conformance.py). The harness loads
each directory by its path, as people do (`--model hf --model_args pretrained=DIR,trust_remote_code=True`), and
scores the questions of data/texts/questions.jsonl, a task of a local file: the log-likelihood of each answer,
`acc` and `acc_norm` stand beside ours of the run. Several questions go in a batch, padded on the right.
"""

import argparse
import os
import sys
import tempfile
from hashlib import sha256

os.environ |= {"LMEVAL_LOG_LEVEL": "WARNING", "HF_DATASETS_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}

from exchange_conformance import PROJECT, TOLERANCE, Workshop, kinds

# Behind the module that says where code of directories is copied to.
from downstream_peer import by_harness, column, metrics, read
from lm_eval.models.huggingface import HFLM

QUESTIONS = PROJECT / "data/texts/questions.jsonl"
# No question of the file is cut.
CONTEXT = 128
KINDS = [
    "gpt2", "olmo2", "olmoe", "gpt2 tied", "gpt2 over-encoded", "olmo2 over-encoded", "olmoe over-encoded",
    "olmo2 with further heads", "gpt2 with f-grams, layers 1", "olmo2 with f-grams, output norm, heads 2",
]  # fmt: skip


def ours(shop, run, name, bin):
    """Log-likelihoods of the answers in order, acc and acc_norm, of stage downstream."""
    inputs = {
        "run": run, "tokenizer": shop.tokenizer,
        "questions": {"id": sha256(QUESTIONS.read_bytes()).hexdigest()[:12], "path": str(QUESTIONS)},
    }  # fmt: skip
    if "f-grams" in name:
        inputs["fgrams"] = shop.fgrams
    place = "-".join(["scores", *name.split()])
    parameters = {
        "tasks": [{"name": "questions", "metric": "acc"}], "questions": 0, "seed": 0, "onlyLast": True}  # fmt: skip
    shop.stage("downstream", parameters, inputs, place)
    options = argparse.Namespace(bin=bin)
    cells = {
        of: column(options, shop.place / place / "scores-questions", of)
        for of in ("document", "gold", "logP", "characters", "bytes")
    }
    acc, normed, _ = metrics(*cells.values())
    return cells["logP"], acc, normed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", default=PROJECT / ".build/release")
    options = parser.parse_args()
    failures, left = 0, set(KINDS)
    with tempfile.TemporaryDirectory() as place:
        shop = Workshop(options.bin, place)
        for name, train in kinds(shop, CONTEXT):
            if name not in left:
                continue
            left.remove(name)
            run = train()
            directory = shop.export(run, "export-" + "-".join(name.split()), *shop.of_fgrams(name))
            logs, acc, normed = ours(shop, run, name, shop.bin)
            model = HFLM(
                pretrained=str(directory), trust_remote_code=True, dtype="float32", device="cpu", batch_size=4,
                add_bos_token=False)  # fmt: skip
            theirs, scores = by_harness(model, read(QUESTIONS), place)
            largest = max(abs(a - b) for a, b in zip(logs, theirs, strict=True))
            good = largest <= TOLERANCE and (acc, normed) == (scores["acc"], scores["acc_norm"])
            failures += not good
            print(
                f"{'ok  ' if good else 'FAIL'} {name}: {type(model.model).__name__}, {len(logs)} answers, largest "
                f"difference {largest:.1e}, acc {acc:.4f} and {scores['acc']:.4f}, acc_norm {normed:.4f} and "
                f"{scores['acc_norm']:.4f}",
                flush=True,
            )
    if left:
        sys.exit(f"no kinds {sorted(left)}")
    sys.exit(f"{failures} differ" if failures else None)


if __name__ == "__main__":
    main()
