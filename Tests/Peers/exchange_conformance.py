"""Compares exported runs with transformers, and imports what transformers wrote.

    make conformance-exchange                      # or: python Tests/Peers/exchange_conformance.py --bin .build/release

Small runs of every kind are made by the executables, a few steps each, and exported. Of each, what the run
itself says (`ott-export answers`) stands beside what `from_pretrained` makes of the directory: log-probabilities
at 1,000 positions or more, and 64 prompts continued greedily by `generate()` one by one, all together with
padding on the left, and with beams beside a search without a cache. Then directories of random weights that
transformers wrote, in three forms and in several files, are imported and compared likewise; and every export is
imported and exported again, which has to give the same bits.
"""

import argparse
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

# Code that directories bring is copied there before it runs.
MODULES = tempfile.TemporaryDirectory()
os.environ |= {"HF_MODULES_CACHE": MODULES.name, "HF_HUB_OFFLINE": "1"}

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

PROJECT = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-4
POSITIONS, PROMPTS, NEW = 1000, 64, 12
NONE = 2**32 - 1
torch.set_num_threads(1)
logging.set_verbosity_error()
logging.disable_progress_bar()


def identity(configuration):
    stripped = configuration | {"inputs": {name: i["id"] for name, i in configuration["inputs"].items()}}
    text = json.dumps(stripped, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()[:12]


class Workshop:
    """The executables, in a directory of their own."""

    def __init__(self, bin, place):
        self.bin, self.place = Path(bin).resolve(), Path(place)

    def call(self, program, *arguments):
        done = subprocess.run(
            [self.bin / program, *map(str, arguments)], cwd=self.place, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"{program} {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def stage(self, stage, parameters, inputs, name):
        """Runs a stage into `name`; returns the input that names its output."""
        file = {"stage": stage, "version": 1, "parameters": parameters, "inputs": inputs}
        path = self.place / f"{name}.json"
        path.write_text(json.dumps(file))
        self.call(f"ott-{stage}", "--config", path, "--output", self.place / name, "--threads", 2, "--quiet")
        index = json.loads((self.place / name / "index.json").read_text())
        return {"id": index["id"], "path": str(self.place / name)}

    # MARK: Data

    def text(self):
        """A tokenizer, and a map set of tokens of the project's own documents."""
        files = sorted((PROJECT / "docs").glob("*.md"))
        with open(self.place / "corpus.jsonl", "w") as corpus:
            for file in files:
                for part in file.read_text().split("\n\n"):
                    corpus.write(json.dumps({"text": part}) + "\n")
        self.call(
            "ott-tokenize", "train", "--vocabulary", 400, "--special", "<|endoftext|>", "--output", "vocabulary",
            "corpus.jsonl")  # fmt: skip
        path = self.place / "vocabulary/tokenizer.json"
        self.tokenizer = {"id": sha256(path.read_bytes()).hexdigest()[:12], "path": str(path)}
        id = self.call(
            "ott-tokenize", "configure", "--tokenizer", path, "--end-of-text", "<|endoftext|>", "--validation", 0,
            "--output", "config", "corpus.jsonl")  # fmt: skip
        self.call("ott-tokenize", "--config", f"config/{id}.json", "--output", "tokens", "--quiet")
        self.tokens = {"id": id, "path": str(self.place / "tokens")}
        return self.stage(
            "map", {"kind": "text", "content": "ngramIDs", "order": 3, "documentsPerShard": 4096},
            {"tokens": self.tokens, "tokenizer": self.tokenizer}, "text")  # fmt: skip

    def matches(self, longest):
        """A map set of the same tokens with the longest frequent f-gram at each."""
        self.fgrams = self.stage(
            "discover", {"longest": longest, "minimumCount": 3}, {"tokens": self.tokens}, "found")  # fmt: skip
        return self.stage(
            "map", {"kind": "text", "content": "fGrams", "longest": longest, "size": 0, "documentsPerShard": 4096},
            {"tokens": self.tokens, "tokenizer": self.tokenizer, "fgrams": self.fgrams}, "matches")  # fmt: skip

    def sentences(self, order, inputs):
        """A map set of a grammar's sentences."""
        grammar = PROJECT / "data/grammars/cfg3f.grammar"
        symbols = self.place / "symbols"
        if not symbols.exists():
            self.symbols = self.stage(
                "sample", {
                    "grammar": str(grammar), "grammarDigest": sha256(grammar.read_bytes()).hexdigest(), "root": 15,
                    "seed": 1, "stream": "train", "documents": 400, "documentsPerShard": 400, "compressionLevel": 3,
                }, {}, "symbols")  # fmt: skip
        name = f"sentences{order}-" + "".join(map(str, inputs))
        tokens = self.stage(
            "tokenize", {"kind": "grammar", "order": order, "documentsPerShard": 400}, {"symbols": self.symbols},
            name + "-tokens")  # fmt: skip
        return self.stage(
            "map", {"kind": "grammar", "inputOrders": inputs, "outputOrder": 1, "documentsPerShard": 400},
            {"tokens": tokens}, name)  # fmt: skip

    def train(self, data, model, name, kind="text", initial=None, tables=False, **training):
        optimizer = {
            "name": "adamw", "learningRate": 0.01, "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8, "weightDecay": 0.1,
            "clipNorm": 1.0}  # fmt: skip
        if tables:
            optimizer["tables"] = {"learningRateMultiplier": 1.0, "weightDecay": 0.0, "moments": "float32"}
        parameters = {
            "kind": kind, "model": model, "optimizer": optimizer,
            "schedule": {"kind": "cosine", "warmupSteps": 2, "finalFraction": 0.1},
            "training": {
                "batchSequences": 8, "lanes": 2, "steps": 20, "checkpointEverySteps": 100, "logEverySteps": 5,
                "precision": "float32"} | training,
            "snapshots": {"count": 1, "spacing": "linear", "initial": initial is not None}, "seed": 3, "dataSeed": 4,
        }  # fmt: skip
        inputs = {"data": data} | ({"initial": initial} if initial else {})
        return self.stage("train", parameters, inputs, name)

    def words(self):
        """Token ids of text that no run has read."""
        return Tokenizer.from_file(self.tokenizer["path"]).encode((PROJECT / "README.md").read_text()).ids

    def of_fgrams(self, name):
        """What exporting the kind `name` needs to know beside its run."""
        return ["--fgrams", self.fgrams["path"]] if "f-grams" in name else []

    # MARK: Exports

    def export(self, run, name, *arguments):
        self.call("ott-export", "--run", run["path"], "--to", name, *arguments)
        return self.place / name

    def answers(self, run, prompts, name, *arguments):
        (self.place / f"{name}.txt").write_text("".join(" ".join(map(str, p)) + "\n" for p in prompts))
        self.call(
            "ott-export", "answers", "--run", run["path"], "--prompts", f"{name}.txt", "--tokens", NEW, "--output",
            f"{name}.safetensors", *arguments)  # fmt: skip
        return load_file(self.place / f"{name}.safetensors")

    def imported(self, directory, name, *arguments):
        id = self.call("ott-import", "configure", "--output", "config", *arguments, directory)
        self.call("ott-import", "--config", f"config/{id}.json", "--output", name, "--quiet")
        return {"id": id, "path": str(self.place / name)}


# MARK: What is compared


def load(directory):
    return AutoModelForCausalLM.from_pretrained(directory, trust_remote_code=True, dtype=torch.float32).eval()


@torch.inference_mode()
def compare(model, prompts, answers, ends):
    """The largest difference of log-probabilities, and how many prompts go on alike in three ways."""
    ours, row, largest = answers["logProbabilities"], 0, 0.0
    for prompt in prompts:
        theirs = model(torch.tensor([prompt])).logits[0].log_softmax(-1)
        largest = max(largest, (theirs - ours[row : row + len(prompt)]).abs().max().item())
        row += len(prompt)
    continued = prompts[:PROMPTS]
    expected = [[t for t in line if t != NONE] for line in answers["generated"][:PROMPTS].tolist()]
    settings = dict(max_new_tokens=NEW, do_sample=False, eos_token_id=ends or None, pad_token_id=0)
    single = [
        model.generate(torch.tensor([p]), attention_mask=torch.ones(1, len(p), dtype=torch.long), **settings)[0]
        .tolist()[len(p) :]
        for p in continued
    ]
    width = max(map(len, continued))
    ids = torch.tensor([[0] * (width - len(p)) + p for p in continued])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in continued])
    together = []
    for line in model.generate(ids, attention_mask=mask, **settings)[:, width:].tolist():
        places = [i for i, token in enumerate(line) if token in ends]
        together.append(line[: places[0] + 1] if places else line)
    beams = [
        model.generate(
            torch.tensor([continued[0]]), attention_mask=torch.ones(1, len(continued[0]), dtype=torch.long),
            num_beams=3, use_cache=cached, **settings).tolist()
        for cached in (True, False)
    ]  # fmt: skip
    alike = sum(a == b for a, b in zip(single, expected))
    padded = sum(a == b for a, b in zip(together, expected))
    return row, largest, alike, padded, beams[0] == beams[1]


def prompts_for(context, vocabulary, begin):
    """Prompts of 1 token and more; of a grammar's sentences behind their mark, of symbols."""
    draw = random.Random(5)
    prompts, positions = [], 0
    while positions < POSITIONS or len(prompts) < PROMPTS:
        length = draw.randint(1, context - NEW)
        first = [] if begin is None else [begin]
        prompts.append((first + [draw.randrange(2, vocabulary) for _ in range(length)])[:length])
        positions += length
    return prompts


def prompts_from(words, context):
    """Prompts of 1 token and more, out of a text."""
    draw = random.Random(6)
    prompts, positions = [], 0
    while positions < POSITIONS or len(prompts) < PROMPTS:
        length, start = draw.randint(1, context - NEW), draw.randrange(len(words) - context)
        prompts.append(words[start : start + length])
        positions += length
    return prompts


def tensors(directory):
    found = {}
    for file in sorted(directory.glob("*.safetensors")):
        found |= load_file(file)
    return found


def tokenizer_is_whole(directory):
    """transformers reads the tokenizer of the directory as `tokenizers` reads its file."""
    read = AutoTokenizer.from_pretrained(directory, trust_remote_code=True)
    file = Tokenizer.from_file(str(directory / "tokenizer.json"))
    for text in [(PROJECT / "README.md").read_text(), " a  b\n\n\tc\u00e9\u4e2d\U0001f600<|endoftext|>", "don't 12345"]:
        assert read.encode(text) == file.encode(text).ids, f"{directory}: other tokens of {text!r}"
        assert read.decode(read.encode(text)) == text, f"{directory}: another text than {text!r}"
    assert read.eos_token == "<|endoftext|>"


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def kinds(shop, context=48):
    """Small models by name, each with what trains it."""
    text = shop.text()
    sizes = {"layers": 2, "width": 32, "heads": 4, "context": context}

    def run(name, data, model, **settings):
        return name, lambda: shop.train(data, model, re.sub("[ ,\\[\\]]+", "-", name), **settings)

    small = {
        "gpt2": {"architecture": "gpt2"},
        "olmo2": {"architecture": "olmo2", "hiddenWidth": 48, "normEpsilon": 1e-6},
        "olmoe": {"architecture": "olmoe", "experts": 6, "topK": 2, "expertWidth": 16},
    }
    for trunk, own in small.items():
        model = sizes | own
        encoding = {"order": 3, "slices": 2, "rows": 1000, "moduli": "coprime", "deviation": 0.05}
        yield run(trunk, text, model | {"tied": False})
        yield run(f"{trunk} tied", text, model | {"tied": True})
        yield run(f"{trunk} over-encoded", text, model | {"tied": False, "overEncoding": encoding}, tables=True)
    model = sizes | small["olmo2"]
    others = {
        "sum tied": encoding | {"reduction": "sum", "lookBack": "window"},
        "without token": encoding | {"token": False, "orders": [3]},
        "normalized": encoding | {"reduction": "normalizedSum", "normalization": "rms", "columns": 0.5},
    }
    for name, other in others.items():
        tied = {"tied": "tied" in name}
        yield run(f"olmo2 over-encoded, {name}", text, model | tied | {"overEncoding": other}, tables=True)
    heads = {"heads": 3, "weights": [0.5, 0.25]}
    yield run("olmo2 with further heads", text, model | {"tied": False, "mtp": heads})
    matches = shop.matches(4)
    for trunk, fgrams in [
        ("gpt2", {"layers": 1}), ("olmo2", {"output": "norm", "heads": 2}), ("olmo2", {"positions": False}),
        ("olmoe", {"output": "scaledNorm"}),
    ]:  # fmt: skip
        name = f"{trunk} with f-grams, {', '.join(f'{k} {v}' for k, v in fgrams.items())}"
        yield run(name, matches, sizes | small[trunk] | {"tied": trunk == "gpt2", "fGrams": {"longest": 4} | fgrams})
    grammar = {"architecture": "gpt2", "layers": 2, "width": 32, "heads": 4, "context": 48, "tied": False}
    for order, inputs in [(1, [1]), (2, [1]), (1, [3]), (1, [1, 2, 3]), (2, [1, 2])]:
        data = shop.sentences(order, inputs)
        yield run(f"grammar, {order}-gram tokens, inputs {inputs}", data, grammar, kind="grammar")


def exports(shop, only):
    failures = 0
    for number, (name, train) in enumerate(kinds(shop)):
        if only not in name:
            continue
        run, fgrams = train(), shop.of_fgrams(name)
        directory = shop.export(run, f"export{number}", *fgrams, *(["--shard-bytes", 20000] if number % 2 else []))
        config = json.loads((directory / "config.json").read_text())
        index = json.loads((Path(run["path"]) / "index.json").read_text())
        begin, end = config["bos_token_id"], config["eos_token_id"]
        tokens = index["data"].get("vocabulary") or config["vocab_size"]
        # Random ids are hardly ever f-grams.
        prompts = prompts_from(shop.words(), 48) if fgrams else prompts_for(48, tokens, begin)
        answers = shop.answers(run, prompts, f"answers{number}", *fgrams)
        model = load(directory)
        rows, largest, alike, padded, beams = compare(model, prompts, answers, [i for i in (end, begin) if i is not None])
        again = "none: over a grammar"
        if begin is None:
            tokenizer_is_whole(directory)
            back = shop.imported(directory, f"import{number}")
            shop.export(back, f"again{number}", "--tokenizer", directory / "tokenizer.json", *fgrams)
            a = load_file(next(Path(run["path"]).glob("weights-20.safetensors")))
            b = load_file(next(Path(back["path"]).glob("weights-0.safetensors")))
            same = all(torch.equal(a[k], b[k]) for k in b) and equal(
                tensors(directory), tensors(shop.place / f"again{number}"))  # fmt: skip
            again = "equal bits" if same else "OTHER BITS"
        good = largest <= TOLERANCE and alike == padded == PROMPTS and beams and "OTHER" not in again
        failures += not good
        print(
            f"{'ok  ' if good else 'FAIL'} {name}: {type(model).__name__}, {rows} positions, largest difference "
            f"{largest:.1e}, continued alike {alike} of {PROMPTS}, together {padded}, beams "
            f"{'equal' if beams else 'DIFFER'}, import {again}",
            flush=True,
        )
    return failures


def foreign():
    """Configurations of transformers, by name."""
    olmo = dict(
        vocab_size=400, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=48,
        pad_token_id=None, bos_token_id=None, eos_token_id=0)  # fmt: skip
    gpt2 = dict(
        vocab_size=400, n_embd=32, n_layer=2, n_head=4, n_positions=48, bos_token_id=None, eos_token_id=0)  # fmt: skip
    rope = {"rope_theta": 5e5}
    yield "gpt2", AutoConfig.for_model("gpt2", **gpt2)
    yield "gpt2 untied", AutoConfig.for_model("gpt2", tie_word_embeddings=False, **gpt2)
    yield "olmo2", AutoConfig.for_model("olmo2", intermediate_size=40, rms_norm_eps=1e-6, **olmo, **rope)
    yield "olmo2 tied", AutoConfig.for_model("olmo2", intermediate_size=40, tie_word_embeddings=True, **olmo)
    moe = dict(intermediate_size=24, num_experts=5, num_experts_per_tok=2)
    yield "olmoe", AutoConfig.for_model("olmoe", **moe, **olmo)
    yield "olmoe normalized", AutoConfig.for_model("olmoe", norm_topk_prob=True, **moe, **olmo, **rope)


def imports(shop):
    failures, number = 0, 0
    for name, config in foreign():
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            for shards in (False, True):
                torch.manual_seed(number)
                model = AutoModelForCausalLM.from_config(config)
                for parameter in model.parameters():
                    # Gains around 1, and matrices so large that no wrong number hides in small logits.
                    parameter.data.normal_(std=0.4).add_(parameter.dim() == 1)
                model = model.to(dtype)
                directory = shop.place / f"foreign{number}"
                model.save_pretrained(directory, max_shard_size="30KB" if shards else "5GB")
                shutil.copy(shop.tokenizer["path"], directory / "tokenizer.json")
                if name == "gpt2" and not shards:
                    without_prefix(directory)
                run = shop.imported(directory, f"foreign-run{number}")
                prompts = prompts_for(48, 400, None)
                answers = shop.answers(run, prompts, f"foreign-answers{number}")
                reloaded = load(directory)
                rows, largest, alike, padded, _ = compare(reloaded, prompts, answers, [0])
                exported = shop.export(run, f"foreign-export{number}")
                wanted = {k: v.float() for k, v in canonical(reloaded, exported).items()}
                same = equal(tensors(exported), wanted)
                good = largest <= TOLERANCE and alike == padded == PROMPTS and same
                failures += not good
                print(
                    f"{'ok  ' if good else 'FAIL'} {name} of transformers, {str(dtype)[6:]}"
                    f"{', sharded' if shards else ''}: {rows} positions, largest difference {largest:.1e}, continued "
                    f"alike {alike} of {PROMPTS}, together {padded}, exported {'equal bits' if same else 'OTHER BITS'}",
                    flush=True,
                )
                number += 1
    return failures


def without_prefix(directory):
    """As the hub's GPT-2 has its tensors: without `transformer.`, with a buffer of the mask."""
    from safetensors.torch import save_file

    path = directory / "model.safetensors"
    plain = {name.removeprefix("transformer."): t for name, t in load_file(path).items()}
    plain["h.0.attn.bias"] = torch.ones(1, 1, 48, 48).tril()
    save_file(plain, path, metadata={"format": "pt"})


def canonical(model, exported):
    """The tensors that a directory of `model` holds, as transformers writes them."""
    place = exported.parent / (exported.name + "-theirs")
    model.save_pretrained(place)
    return tensors(place)


def continued(shop, data):
    """An imported model goes on over-encoded: with tables of zeros it begins as it was."""
    config = AutoConfig.for_model(
        "olmo2", vocab_size=400, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=48, intermediate_size=48, rms_norm_eps=1e-6, pad_token_id=None, bos_token_id=None,
        eos_token_id=0)  # fmt: skip
    torch.manual_seed(9)
    directory = shop.place / "begun"
    AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    shutil.copy(shop.tokenizer["path"], directory / "tokenizer.json")
    begun = shop.imported(directory, "begun-run", "--tokenizer", shop.tokenizer["path"])
    model = {
        "architecture": "olmo2", "layers": 2, "width": 32, "heads": 4, "context": 48, "hiddenWidth": 48,
        "normEpsilon": 1e-6, "ropeTheta": 10000.0, "tied": False,
        "overEncoding": {
            "order": 2, "slices": 1, "rows": 1000, "moduli": "coprime", "deviation": 0.0, "reduction": "sum"},
    }  # fmt: skip
    run = shop.train(data, model, "went-on", tables=True, initial=begun)
    prompts = prompts_for(48, 400, None)
    first = shop.answers(run, prompts, "went-on-0", "--snapshot", 0)
    whole = shop.answers(begun, prompts, "begun-answers")
    difference = (first["logProbabilities"] - whole["logProbabilities"]).abs().max().item()
    after = shop.answers(run, prompts, "went-on-20")
    moved = (after["logProbabilities"] - whole["logProbabilities"]).abs().max().item()
    loss = json.loads((Path(run["path"]) / "index.json").read_text())["finalLoss"]
    good = difference == 0 and moved > 0.1 and loss < math.log(400)
    print(
        f"{'ok  ' if good else 'FAIL'} olmo2 of transformers goes on over-encoded: largest difference at step 0 "
        f"{difference:.1e}, at step 20 {moved:.1e}, loss {loss:.3f}"
    )
    return not good


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", default=PROJECT / ".build/release")
    parser.add_argument("--only", default="", help="kinds of exports whose name has this, and no imports")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        shop = Workshop(options.bin, place)
        failures = exports(shop, options.only)
        if options.only:
            sys.exit(f"{failures} differ" if failures else None)
        failures += imports(shop)
        text = json.loads((shop.place / "text.json").read_text())
        failures += continued(shop, {"id": identity(text), "path": str(shop.place / "text")})
    sys.exit(f"{failures} differ" if failures else None)


if __name__ == "__main__":
    main()
