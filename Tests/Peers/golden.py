"""Makes the golden fixtures of Tests/ModelsTests with PyTorch.

    python3 -m venv .venv && .venv/bin/pip install -r Tests/Peers/requirements.txt
    .venv/bin/python Tests/Peers/golden.py Tests/ModelsTests/Fixtures

A fixture is one text file: a header line of JSON (model, sentences, optimizer, losses, norms), then
one line per array: name, then its float32 values as base64. Every sentence runs through the model
by itself, so that a packed implementation that leaks between sentences disagrees.

GPT-2 is written out below; OLMo 2 is the one of transformers. Its projections are written (in, out).
"""

import base64
import json
import math
import sys

import torch
from torch import nn
from transformers import Olmo2Config, Olmo2ForCausalLM

torch.manual_seed(0)
torch.set_num_threads(1)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln_1 = nn.LayerNorm(width)
        self.ln_2 = nn.LayerNorm(width)
        self.attn = nn.ModuleDict({"c_attn": Conv1D(width, 3 * width), "c_proj": Conv1D(width, width)})
        self.mlp = nn.ModuleDict({"c_fc": Conv1D(width, 4 * width), "c_proj": Conv1D(4 * width, width)})

    def forward(self, x):
        T, C = x.shape
        q, k, v = self.attn["c_attn"](self.ln_1(x)).split(C, dim=1)
        q, k, v = (t.view(T, self.heads, C // self.heads).transpose(0, 1) for t in (q, k, v))
        scores = q @ k.transpose(1, 2) / math.sqrt(C // self.heads)
        mask = torch.ones(T, T, dtype=torch.bool).tril()
        weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
        x = x + self.attn["c_proj"]((weights @ v).transpose(0, 1).reshape(T, C))
        hidden = nn.functional.gelu(self.mlp["c_fc"](self.ln_2(x)), approximate="tanh")
        return x + self.mlp["c_proj"](hidden)


class Conv1D(nn.Module):
    """GPT-2's linear layer: the weight is (in, out)."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        return x @ self.weight + self.bias


class GPT2(nn.Module):
    def __init__(self, model):
        super().__init__()
        width = model["width"]
        tables = {
            "wte" if t["order"] == 1 else f"wte_{t['order']}": nn.Embedding(t["rows"], width)
            for t in model["inputs"]
        }
        self.tables = list(tables)
        self.transformer = nn.ModuleDict(
            tables
            | {
                "wpe": nn.Embedding(model["context"], width),
                "h": nn.ModuleList([Block(width, model["heads"]) for _ in range(model["layers"])]),
                "ln_f": nn.LayerNorm(width),
            }
        )
        self.lm_head = nn.Linear(width, model["labels"], bias=False)
        if model["tied"]:
            self.lm_head.weight = self.transformer["wte"].weight
        for name, p in self.named_parameters():
            with torch.no_grad():
                if p.dim() > 1:
                    p.normal_(0, 0.3 if "mlp" not in name else 0.15)
                elif name.endswith("bias"):
                    p.normal_(0, 0.1)
                else:
                    p.normal_(1, 0.1)

    def forward(self, inputs):
        x = self.transformer["wpe"](torch.arange(len(inputs[0])))
        for name, ids in zip(self.tables, inputs):
            x = x + self.transformer[name](torch.tensor(ids))
        for block in self.transformer["h"]:
            x = block(x)
        return self.lm_head(self.transformer["ln_f"](x)).log_softmax(-1)


class OLMo2(nn.Module):
    """transformers' OLMo 2 over a sum of tables; parameters keep its names."""

    def __init__(self, model):
        super().__init__()
        width = model["width"]
        self.net = Olmo2ForCausalLM(
            Olmo2Config(
                vocab_size=model["labels"],
                hidden_size=width,
                intermediate_size=model["hiddenWidth"],
                num_hidden_layers=model["layers"],
                num_attention_heads=model["heads"],
                max_position_embeddings=model["context"],
                rms_norm_eps=model["normEpsilon"],
                rope_parameters={"rope_type": "default", "rope_theta": model["ropeTheta"]},
                tie_word_embeddings=model["tied"],
                attn_implementation="eager",
                pad_token_id=None,
                eos_token_id=None,
            )
        )
        inner = self.net.model
        self.tables = []
        for table in model["inputs"]:
            name = "embed_tokens" if table["order"] == 1 else f"embed_tokens_{table['order']}"
            if not model["tied"]:
                setattr(inner, name, nn.Embedding(table["rows"], width))
            self.tables.append(getattr(inner, name))
        for name, p in self.named_parameters():
            with torch.no_grad():
                if p.dim() > 1:
                    p.normal_(0, 0.3 if "mlp" not in name else 0.15)
                else:
                    p.normal_(1, 0.1)

    def named_parameters(self, *arguments, **options):
        for name, p in super().named_parameters(*arguments, **options):
            yield name.removeprefix("net."), p

    def forward(self, inputs):
        x = sum(table(torch.tensor(ids)) for table, ids in zip(self.tables, inputs))
        return self.net(inputs_embeds=x[None], use_cache=False).logits[0].log_softmax(-1)


def learning_rate(step, o):
    """Linear warm-up, then cosine to a tenth; steps are counted from 0."""
    if step < o["warmupSteps"]:
        return o["learningRate"] * (step + 1) / o["warmupSteps"]
    progress = (step - o["warmupSteps"]) / (o["steps"] - o["warmupSteps"])
    return o["learningRate"] * (0.1 + 0.45 * (1 + math.cos(math.pi * progress)))


def line(name, tensor):
    if name.endswith("_proj.weight") and ".layers." in name:
        tensor = tensor.T
    data = tensor.detach().contiguous().numpy().astype("<f4").tobytes()
    return f"{name} {base64.b64encode(data).decode()}\n"


def make(path, model, lengths):
    net = {"gpt2": GPT2, "olmo2": OLMo2}[model["architecture"]](model)
    g = torch.Generator().manual_seed(1)
    draw = lambda n, length: torch.randint(0, n, (length,), generator=g).tolist()
    sentences = [
        {"inputs": [draw(t["rows"], n) for t in model["inputs"]], "labels": draw(model["labels"], n)}
        for n in lengths
    ]
    rows = sum(lengths)
    o = dict(learningRate=0.01, warmupSteps=3, steps=10, beta1=0.9, beta2=0.98, epsilon=1e-8, weightDecay=0.1, gradientClip=1.0)

    def loss_of_batch():
        parts = [net(s["inputs"]) for s in sentences]
        loss = sum(nn.functional.nll_loss(p, torch.tensor(s["labels"]), reduction="sum") for p, s in zip(parts, sentences))
        return loss / rows, torch.cat(parts)

    decayed = [p for p in net.parameters() if p.dim() > 1]
    plain = [p for p in net.parameters() if p.dim() == 1]
    adam = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": o["weightDecay"]}, {"params": plain, "weight_decay": 0.0}],
        lr=o["learningRate"], betas=(o["beta1"], o["beta2"]), eps=o["epsilon"])
    arrays, losses, norms, rates = [], [], [], []
    for name, p in net.named_parameters():
        arrays.append(line("weight:" + name, p))
    for step in range(o["steps"]):
        rate = learning_rate(step, o)
        for group in adam.param_groups:
            group["lr"] = rate
        adam.zero_grad()
        loss, log_probabilities = loss_of_batch()
        loss.backward()
        if step == 0:
            arrays.append(line("logProbabilities", log_probabilities))
            for name, p in net.named_parameters():
                arrays.append(line("gradient:" + name, p.grad))
        norms.append(float(nn.utils.clip_grad_norm_(net.parameters(), o["gradientClip"])))
        losses.append(loss.item())
        rates.append(rate)
        adam.step()
    for name, p in net.named_parameters():
        arrays.append(line("final:" + name, p))
    header = dict(model=model, sentences=sentences, optimizer=o, losses=losses, norms=norms, learningRates=rates)
    with open(path, "w") as file:
        file.write(json.dumps(header) + "\n")
        file.writelines(arrays)


def main(directory):
    base = dict(architecture="gpt2", layers=2, width=16, heads=2, context=24)
    lengths = [7, 1, 19, 16, 2, 17]
    make(f"{directory}/baseline.golden", base | dict(inputs=[dict(order=1, rows=5)], labels=5, tied=True), lengths)
    make(
        f"{directory}/joint.golden",
        base | dict(inputs=[dict(order=i, rows=n) for i, n in [(1, 5), (2, 14), (3, 41)]], labels=41, tied=False, layers=1),
        lengths,
    )
    olmo2 = dict(architecture="olmo2", layers=2, width=16, heads=2, context=24, hiddenWidth=40, ropeTheta=500000.0, normEpsilon=1e-6)
    torch.manual_seed(1)
    make(f"{directory}/olmo2.golden", olmo2 | dict(inputs=[dict(order=1, rows=5)], labels=5, tied=True), lengths)
    # One layer of an odd size, so that no product runs through the register tile.
    make(
        f"{directory}/olmo2-joint.golden",
        olmo2
        | dict(
            inputs=[dict(order=i, rows=n) for i, n in [(1, 5), (3, 41)]], labels=14, tied=False, layers=1, width=20, heads=2,
            hiddenWidth=27, ropeTheta=10000.0, normEpsilon=1e-5),
        lengths,
    )


main(sys.argv[1])
