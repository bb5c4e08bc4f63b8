"""Scores tasks with OLMo's own code and with lm-evaluation-harness, on the same small weights.

    make harness
    .venv/bin/python Tests/Peers/downstream_peer.py fixture
    .venv/bin/python Tests/Peers/downstream_peer.py compare data/downstream/ID --bin .build/release --documents 100

`fixture` writes Tests/EvaluationTests/Fixtures/downstream: a random OLMo 2 of transformers, and what both make
of data/texts/questions.jsonl with the tokenizer that lies there. `compare` does the same with the weights, the
tokenizer and the tasks of a finished output of stage downstream (of a plain OLMo 2) and prints the largest
difference of log-likelihoods and the accuracies: results/bench/downstream.csv.

OLMo: `OEEvalTask` makes the samples and `ICLMetric` scores them (package ai2-olmo-eval 0.9.0, whose `_v1` of
accuracies is its `_v2`; version 1 is the same metric given the lengths without the space, as ai2-olmo 0.6.0
has them). lm-evaluation-harness: tasks of local files, the log-likelihood of each choice and `acc`, `acc_norm`;
it knows no choices with contexts of their own, as WinoGrande has.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import olmo_eval.tasks
import torch
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from olmo_eval.metrics import ICLMetric
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import Olmo2Config, Olmo2ForCausalLM, PreTrainedTokenizerFast

PROJECT = Path(__file__).resolve().parents[2]
sys.path.append(str(PROJECT / "tools"))
from writing import write

FIXTURE = PROJECT / "Tests/EvaluationTests/Fixtures/downstream"
torch.set_num_threads(1)


def network(model):
    return Olmo2ForCausalLM(
        Olmo2Config(
            vocab_size=model["labels"], hidden_size=model["width"], num_hidden_layers=model["layers"],
            num_attention_heads=model["heads"], max_position_embeddings=model["context"],
            intermediate_size=model["hiddenWidth"], rms_norm_eps=model["normEpsilon"],
            rope_parameters={"rope_type": "default", "rope_theta": model["ropeTheta"]},
            tie_word_embeddings=model["tied"], pad_token_id=None, bos_token_id=None, eos_token_id=None)).eval()


def turned(tensors):
    """Projections are (in, out) in one place and (out, in) in the other."""
    return {name: (t.T if name.endswith("_proj.weight") else t).contiguous() for name, t in tensors.items()}


class Tokens:
    """A tokenizer as OLMo's tasks call it: nothing stands in front of a context."""

    bos_token_id, eos_token_id, pad_token_id = None, None, 0

    def __init__(self, path):
        self.inner = Tokenizer.from_file(str(path))

    def encode(self, text, add_special_tokens):
        return self.inner.encode(text, add_special_tokens=add_special_tokens).ids


def read(path):
    return [json.loads(line) for line in Path(path).read_text().split("\n") if line]


def by_olmo(net, tokenizer, rows, context):
    """Σ log p of every choice in order, and OLMo's metrics."""
    rows = [row | {"doc": {}, "request_type": "loglikelihood"} for row in rows]
    olmo_eval.tasks.load_oe_eval_requests = lambda path, name, split: (None, rows)
    kind = type("Task", (olmo_eval.tasks.OEEvalTask,), {"doc_to_domain_conditional": lambda self, doc: " "})
    scores, sums = {}, []
    for version in (1, 2):
        for metric in ("acc", "len_norm"):
            task = kind(tokenizer=tokenizer, dataset_path="file", metric_type=metric, model_ctx_len=context)
            score = ICLMetric(metric)
            for number in range(len(task)):
                batch = task.collate_fn([task[number]])
                if version == 1:
                    for length in ("str", "byte"):
                        batch[f"cont_{length}_len"] = batch[f"cont_{length}_len_no_leading_space"]
                with torch.no_grad():
                    score.update(batch, net(batch["input_ids"]).logits)
            values = score.compute()
            scores[f"{metric}_v{version}"] = float(values[f"{metric}_v2"])
            scores[f"bpb_v{version}"] = float(values["bpb_v2"])
            if metric == "acc":
                sums = [value for _, _, value in score.loglikelihoods]
    return sums, scores


def by_harness(model, rows, folder):
    """The same by lm-evaluation-harness with its `model`; None where choices have contexts of their own."""
    documents = {}
    for row in rows:
        documents.setdefault(row["doc_id"], []).append(row)
    if any(len({row["request"]["context"] for row in own}) > 1 for own in documents.values()):
        return None
    path = Path(folder) / "documents.jsonl"
    write(path, "".join(
        json.dumps({"context": own[0]["request"]["context"], "gold": own[0]["label"],
                    "choices": [row["request"]["continuation"][1:] for row in own]}) + "\n"
        for own in documents.values()))
    task = {"task": "local", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(path)}},
            "test_split": "test", "output_type": "multiple_choice", "doc_to_text": "{{context}}",
            "doc_to_choice": "choices", "doc_to_target": "gold", "target_delimiter": " ",
            "metric_list": [{"metric": metric, "aggregation": "mean", "higher_is_better": True}
                            for metric in ("acc", "acc_norm")]}
    result = simple_evaluate(model, tasks=[task], log_samples=True, bootstrap_iters=0)
    samples = sorted(result["samples"]["local"], key=lambda sample: sample["doc_id"])
    by_document = {}
    for sample in samples:
        by_document[sample["doc_id"]] = [response[0][0] if isinstance(response[0], (list, tuple)) else response[0]
                                         for response in sample["resps"]]
    sums = [float(value) for number in sorted(by_document) for value in by_document[number]]
    scores = result["results"]["local"]
    return sums, {"acc": scores["acc,none"], "acc_norm": scores["acc_norm,none"]}


def harness(net, tokenizer, context):
    """A model of the harness's from a network in memory."""
    end = "<|endoftext|>"
    return HFLM(
        pretrained=net, max_length=context, add_bos_token=False, batch_size=1,
        tokenizer=PreTrainedTokenizerFast(tokenizer_object=tokenizer.inner, eos_token=end, pad_token=end))


def fixture():
    tokenizer = Tokens(FIXTURE / "tokenizer.json")
    model = {"architecture": "olmo2", "layers": 2, "width": 16, "heads": 2, "context": 64, "hiddenWidth": 32,
             "ropeTheta": 500000.0, "normEpsilon": 1e-6, "tied": False, "labels": tokenizer.inner.get_vocab_size(),
             "inputs": [{"order": 1, "rows": tokenizer.inner.get_vocab_size()}]}
    torch.manual_seed(0)
    net = network(model)
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.normal_(0, 0.5) if p.dim() > 1 else p.normal_(1, 0.1)
    rows = read(PROJECT / "data/texts/questions.jsonl")
    sums, scores = by_olmo(net, tokenizer, rows, model["context"])
    others, accuracies = by_harness(harness(net, tokenizer, model["context"]), rows, "/tmp")
    difference = max(abs(a - b) for a, b in zip(sums, others, strict=True))
    assert difference < 1e-4, difference
    write(FIXTURE / "expected.json", json.dumps(
        {"model": model, "logP": sums, "olmo": scores, "harness": accuracies}, indent=1) + "\n")
    save_file(turned(dict(net.named_parameters())), FIXTURE / "weights.safetensors")
    print(f"{len(sums)} choices, harness differs by {difference:.1e}; {scores} {accuracies}")


def column(arguments, path, name):
    text = subprocess.run([f"{arguments.bin}/ott-shards", "cat", path, "--column", name], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    return [float(cell) for cell in text.splitlines()[-1].split()]


def compare(arguments):
    identity = Path(arguments.stage).name
    configuration = json.loads(Path(f"data/config/downstream/{identity}.json").read_text())
    inputs = {name: entry["path"] for name, entry in configuration["inputs"].items()}
    run = json.loads(Path(f"{inputs['run']}/index.json").read_text())
    model = run["model"]
    tokenizer = Tokens(f"{inputs['tokenizer']}/tokenizer.json")
    weights = load_file(f"{inputs['run']}/{run['snapshots'][-1]['file']}")
    net = network(model | {"hiddenWidth": weights["model.layers.0.mlp.gate_proj.weight"].shape[1]})
    net.load_state_dict(turned(weights), strict=not model["tied"])
    print("task,documents,choices,olmo_difference,harness_difference,acc,olmo_acc,harness_acc,"
          "lenNormV1,olmo_len_norm,harness_acc_norm,bitsPerByteV1,olmo_bpb")
    for task in configuration["parameters"]["tasks"]:
        folder = f"{arguments.stage}/scores-{task['name']}"
        own = {name: column(arguments, folder, name)
               for name in ("document", "choice", "gold", "logP", "tokens", "characters", "bytes")}
        # OLMo's code fails on continuations that are longer than the context.
        long = {d for d, tokens in zip(own["document"], own["tokens"]) if tokens > model["context"]}
        kept = sorted({int(d) for d in own["document"] if d not in long})[: arguments.documents]
        rows = [row for row in read(inputs[task["name"]]) if row["doc_id"] in set(kept)]
        places = [i for i, d in enumerate(own["document"]) if int(d) in set(kept)]
        sums, scores = by_olmo(net, tokenizer, rows, model["context"])
        assert len(sums) == len(places), (len(sums), len(places))
        logs = [own["logP"][i] for i in places]
        ours = metrics([int(own["document"][i]) for i in places], [own["gold"][i] for i in places], logs,
                       [own["characters"][i] for i in places], [own["bytes"][i] for i in places])
        theirs = by_harness(harness(net, tokenizer, model["context"]), rows, "/tmp")
        cells = [task["name"], len(kept), len(rows), f"{max(abs(a - b) for a, b in zip(logs, sums)):.1e}",
                 f"{max(abs(a - b) for a, b in zip(logs, theirs[0])):.1e}" if theirs else "",
                 ours[0], scores["acc_v1"], theirs[1]["acc"] if theirs else "",
                 ours[1], scores["len_norm_v1"], theirs[1]["acc_norm"] if theirs else "",
                 f"{ours[2]:.5f}", f"{scores['bpb_v1']:.5f}"]
        print(",".join(f"{cell:.6g}" if isinstance(cell, float) else str(cell) for cell in cells), flush=True)


def metrics(documents, gold, sums, characters, sizes):
    """acc, len_norm and bits per byte, version 1, of our own log-likelihoods."""
    chosen = {}
    for place, document in enumerate(documents):
        chosen.setdefault(document, []).append(place)
    right, normed, bits = 0, 0, 0
    for places in chosen.values():
        right += gold[max(places, key=lambda i: sums[i])]
        normed += gold[max(places, key=lambda i: sums[i] / (characters[i] - 1))]
        answer = next(i for i in places if gold[i])
        bits -= sums[answer] / (sizes[answer] - 1) / torch.log(torch.tensor(2.0)).item()
    return right / len(chosen), normed / len(chosen), bits / len(chosen)


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fixture")
    comparison = commands.add_parser("compare")
    comparison.add_argument("stage")
    comparison.add_argument("--bin", default=".build/release")
    comparison.add_argument("--documents", type=int, default=100)
    arguments = parser.parse_args()
    fixture() if arguments.command == "fixture" else compare(arguments)


if __name__ == "__main__":
    main()
