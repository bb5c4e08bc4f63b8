"""Makes the golden fixtures of Tests/ModelsTests with PyTorch.

    python3 -m venv .venv && .venv/bin/pip install -r Tests/Peers/requirements.txt
    .venv/bin/python Tests/Peers/golden.py Tests/ModelsTests/Fixtures

A fixture is one text file: a header line of JSON (model, sentences, optimizer, losses, norms), then
one line per array: name, then its float32 values as base64. Every sentence runs through the model
by itself, so that a packed implementation that leaks between sentences disagrees.

GPT-2 is written out below; OLMo 2 and OLMoE are those of transformers. Their projections and routers are
written (in, out), experts one by one. The losses of OLMoE's routers are written out below as MegaBlocks has
them, those of all sentences of a step as one micro-batch; transformers' auxiliary loss is another. Which
experts a row goes to jumps: a fixture whose choices are closer than a rounding is refused.
Over-encoding is Algorithm 1 of the paper, trained by dense AdamW; a fixture's inputs are then the
tokens and the rows of each table, and its projections are stacked as one matrix (in, out).
The f-grams of SCONE's Algorithm 1 run through a second trunk one by one, for every position anew; a fixture's
inputs are then the tokens and the tokens of the f-gram that ends at each, drawn at random.
Heads on tokens further ahead are written out with the slices of the papers, no masks: head i sees the
first T - i + 1 rows of a sentence where it reads what follows them.
"""

import base64
import json
import math
import sys
from pathlib import Path

import torch
from torch import nn
from transformers import Olmo2Config, Olmo2ForCausalLM, OlmoeConfig, OlmoeForCausalLM
from transformers.models.olmo2.modeling_olmo2 import Olmo2DecoderLayer, Olmo2RMSNorm

sys.path.append(str(Path(__file__).resolve().parents[2] / "tools"))
from writing import write

torch.manual_seed(0)
torch.set_num_threads(1)


class OverEncoding(nn.Module):
    """Over-Tokenized Transformer, Algorithm 1; the projections have no biases (equation 4)."""

    def __init__(self, options, V, D):
        super().__init__()
        self.n, self.k, self.m, self.V = options["order"], options["slices"], options["rows"], V
        tables = self.k * (self.n - 1)
        self.oe_embedders = nn.ModuleList([nn.Embedding(self.m + i * 2, D // tables) for i in range(tables)])
        self.oe_projs = nn.ModuleList([nn.Linear(D // tables, D, bias=False) for _ in range(tables)])

    def rows(self, tokens):
        """The row of each table for each token."""
        input_ids = torch.tensor(tokens)
        n_gram_ids = input_ids.clone()
        rows = []
        for i in range(2, self.n + 1):
            shifted = nn.functional.pad(input_ids, (i - 1, 0))[: len(tokens)]
            n_gram_ids += shifted * self.V ** (i - 1)
            for j in range(self.k):
                index = (i - 2) * self.k + j
                rows.append((n_gram_ids % (self.m + 2 * index)).tolist())
        return rows

    def forward(self, x, rows):
        for embedder, projection, ids in zip(self.oe_embedders, self.oe_projs, rows):
            x = x + projection(embedder(torch.tensor(ids)))
        return x / (1 + self.k * (self.n - 1))


class FGrams:
    """What is added to a net whose `new_fgrams(o)` makes the parts of an f-gram model: `embed(T, o)` of the
    tokens of an f-gram, `blocks` and `norm`."""

    def add_fgrams(self, model):
        self.f = o = model.get("fGrams")
        if o:
            parts = self.new_fgrams(model)
            if o["positions"]:
                parts["wpe"] = nn.Embedding(o["longest"], model["width"])
            if o["output"] == "none":
                del parts["norm" if "norm" in parts else "ln_f"]
            self.fgrams = nn.ModuleDict(parts)

    def embed_fgrams(self, T, tokens, matches):
        """The embedding of each token: its own, or the last row of the f-gram that ends there."""
        rows = []
        for i, match in enumerate(matches):
            n = min(match, i + 1)
            if n < 2:
                rows.append(T(torch.tensor(tokens[i])))
                continue
            x = T(torch.tensor(tokens[i + 1 - n : i + 1]))
            if self.f["positions"]:
                x = x + self.fgrams["wpe"](torch.arange(n))
            x = self.run_fgrams(x)[-1]
            if self.f["output"] != "none":
                x = self.fgrams["norm" if "norm" in self.fgrams else "ln_f"](x)
            rows.append(x)
        return torch.stack(rows)


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


class FurtherHeads:
    """What is added to a net whose `new_block`, `run_block`, `new_norm`, `last_norm` and `unembed` are its
    trunk's."""

    def add_heads(self, model):
        width, V = model["width"], model["labels"]
        self.heads_of = next((k for k in ("overDecoding", "mtp", "mtpDS") if k in model), None)
        if not self.heads_of:
            return
        self.o = o = model[self.heads_of]
        ahead = [str(i) for i in range(2, o["heads"] + 1)]
        if self.heads_of == "overDecoding":
            d = o["rank"] or width
            self.over_decoding = nn.ModuleDict({i: nn.Linear(d, V, bias=False) for i in ahead})
            if o["rank"]:
                for head in self.over_decoding.values():
                    head.proj = nn.Linear(width, d, bias=False)
        elif self.heads_of == "mtp":
            norms = lambda: dict(norm=self.new_norm()) if o["norm"] == "own" else {}
            self.mtp = nn.ModuleDict({i: nn.ModuleDict(dict(block=self.new_block()) | norms()) for i in ahead})
        else:
            self.mtp_ds = nn.ModuleDict()
            for i in ahead:
                parts = dict(enorm=nn.RMSNorm(width, eps=1e-6), hnorm=nn.RMSNorm(width, eps=1e-6))
                parts |= dict(eh_proj=nn.Linear(2 * width, width, bias=False), block=self.new_block())
                self.mtp_ds[i] = nn.ModuleDict(parts | (dict(norm=self.new_norm()) if o["norm"] == "own" else {}))

    def heads(self, embedding, hidden, normed):
        """Of each head i the log-probabilities of its first T - i + 1 rows."""
        T, results = len(hidden), []
        chained = normed if self.heads_of == "mtpDS" and self.o["hidden"] == "afterNorm" else hidden
        for i in range(2, self.o["heads"] + 1):
            n = max(T - i + 1, 0)
            if n == 0:
                results.append(torch.zeros(0, self.vocabulary))
            elif self.heads_of == "overDecoding":
                head = self.over_decoding[str(i)]
                results.append((head(head.proj(normed) if self.o["rank"] else normed)).log_softmax(-1)[:n])
            elif self.heads_of == "mtp":
                head = self.mtp[str(i)]
                norm = head["norm"] if self.o["norm"] == "own" else self.last_norm
                results.append(self.unembed(norm(self.run_block(head["block"], hidden))).log_softmax(-1)[:n])
            else:
                head = self.mtp_ds[str(i)]
                parts = [head["enorm"](embedding[i - 1 :]), head["hnorm"](chained[:n])]
                if self.o["order"] == "hiddenFirst":
                    parts.reverse()
                block = self.run_block(head["block"], head["eh_proj"](torch.cat(parts, -1)))
                norm = (head["norm"] if self.o["norm"] == "own" else self.last_norm)(block)
                results.append(self.unembed(norm).log_softmax(-1))
                chained = norm if self.o["hidden"] == "afterNorm" else block
        return results

    def is_transposed(self, name):
        module = self.get_submodule(name.rpartition(".")[0]) if name.startswith(("mtp", "over_decoding")) else None
        return isinstance(module, nn.Linear) and name.endswith("proj.weight")


class GPT2(nn.Module, FurtherHeads, FGrams):
    prefix = "transformer"

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
        if "overEncoding" in model:
            self.over_encoding = OverEncoding(model["overEncoding"], model["inputs"][0]["rows"], width)
        self.vocabulary = model["labels"]
        self.new_block = lambda: Block(width, model["heads"])
        self.run_block = lambda block, x: block(x)
        self.new_norm = lambda: nn.LayerNorm(width)
        self.last_norm = lambda x: self.transformer["ln_f"](x)
        self.unembed = lambda x: self.lm_head(x)
        self.add_heads(model)
        self.add_fgrams(model)
        for name, p in self.named_parameters():
            with torch.no_grad():
                if p.dim() > 1:
                    p.normal_(0, 0.3 if "mlp" not in name else 0.15)
                elif name.endswith("bias"):
                    p.normal_(0, 0.1)
                else:
                    p.normal_(1, 0.1)

    def rows(self, inputs):
        """The embedding, and the trunk's rows before and after its last norm."""
        x = self.transformer["wpe"](torch.arange(len(inputs[0])))
        if hasattr(self, "over_encoding"):
            x = x + self.over_encoding(self.transformer["wte"](torch.tensor(inputs[0])), inputs[1:])
        elif self.f:
            x = x + self.embed_fgrams(self.transformer["wte"], *inputs)
        else:
            for name, ids in zip(self.tables, inputs):
                x = x + self.transformer[name](torch.tensor(ids))
        embedding = x
        for block in self.transformer["h"]:
            x = block(x)
        return embedding, x, self.transformer["ln_f"](x)

    def new_fgrams(self, model):
        o, width = model["fGrams"], model["width"]
        blocks = nn.ModuleList([Block(width, o["heads"]) for _ in range(o["layers"])])
        return {"h": blocks, "ln_f": nn.LayerNorm(width)}

    def run_fgrams(self, x):
        for block in self.fgrams["h"]:
            x = block(x)
        return x

    def forward(self, inputs):
        embedding, hidden, normed = self.rows(inputs)
        first = self.lm_head(normed).log_softmax(-1)
        return [first] + (self.heads(embedding, hidden, normed) if self.heads_of else [])


class HuggingFace(nn.Module, FurtherHeads, FGrams):
    """A model of transformers over a sum of tables; parameters keep its names."""

    prefix = "model"

    def __init__(self, model):
        super().__init__()
        width = model["width"]
        self.net = self.make_sized(model)
        inner = self.net.model
        self.tables = []
        for table in model["inputs"]:
            name = "embed_tokens" if table["order"] == 1 else f"embed_tokens_{table['order']}"
            if not model["tied"]:
                setattr(inner, name, nn.Embedding(table["rows"], width))
            self.tables.append(getattr(inner, name))
        if "overEncoding" in model:
            self.over_encoding = OverEncoding(model["overEncoding"], model["inputs"][0]["rows"], width)
        self.vocabulary = model["labels"]
        self.new_block = lambda: Olmo2DecoderLayer(self.net.config, 0)
        self.new_norm = lambda: Olmo2RMSNorm(width, eps=model["normEpsilon"])
        self.last_norm = lambda x: self.net.model.norm(x)
        self.unembed = lambda x: self.net.lm_head(x)
        self.add_heads(model)
        self.add_fgrams(model)
        for name, p in self.named_parameters():
            with torch.no_grad():
                if p.dim() > 1:
                    p.normal_(0, self.deviation(name))
                else:
                    p.normal_(1, 0.1)

    def make_sized(self, model):
        return self.make(
            model,
            vocab_size=model["labels"],
            hidden_size=model["width"],
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

    def new_fgrams(self, model):
        net = self.make_sized(model | {k: model["fGrams"][k] for k in ("layers", "heads")}).model
        self.fgram_angles = [net.rotary_emb]
        return {"layers": net.layers, "norm": net.norm}

    def run_fgrams(self, x):
        for block in self.fgrams["layers"]:
            x = self.run_block(block, x, self.fgram_angles[0])
        return x

    def deviation(self, name):
        return 0.3 if "mlp" not in name else 0.15

    def named_parameters(self, *arguments, **options):
        for name, p in super().named_parameters(*arguments, **options):
            yield name.removeprefix("net."), p

    def forward(self, inputs):
        if self.f:
            x = self.embed_fgrams(self.tables[0], *inputs)
        else:
            x = sum(table(torch.tensor(ids)) for table, ids in zip(self.tables, inputs))
        if hasattr(self, "over_encoding"):
            x = self.over_encoding(x, inputs[1:])
        if not self.heads_of:
            return [self.logits(x[None]).log_softmax(-1)]
        seen = []
        hook = self.net.model.norm.register_forward_pre_hook(lambda module, given: seen.append(given[0][0]))
        normed = self.net.model(inputs_embeds=x[None], use_cache=False).last_hidden_state[0]
        hook.remove()
        return [self.net.lm_head(normed).log_softmax(-1)] + self.heads(x, seen[0], normed)

    def run_block(self, block, x, rotary=None):
        T = len(x)
        mask = torch.full((1, 1, T, T), float("-inf")).triu(1)
        angles = (rotary or self.net.model.rotary_emb)(x[None], position_ids=torch.arange(T)[None])
        result = block(x[None], attention_mask=mask, position_embeddings=angles)
        return (result if torch.is_tensor(result) else result[0])[0]

    def logits(self, x):
        return self.net(inputs_embeds=x, use_cache=False).logits[0]


class OLMo2(HuggingFace):
    def make(self, model, **sizes):
        return Olmo2ForCausalLM(Olmo2Config(intermediate_size=model["hiddenWidth"], **sizes))


class OLMoE(HuggingFace):
    def make(self, model, **sizes):
        self.top_k, self.least_gap, self.routed = model["topK"], math.inf, []
        return OlmoeForCausalLM(
            OlmoeConfig(
                intermediate_size=model["expertWidth"],
                num_key_value_heads=model["heads"],
                num_experts=model["experts"],
                num_experts_per_tok=model["topK"],
                norm_topk_prob=model["normalizeTopK"],
                output_router_logits=False,
                experts_implementation="eager",
                **sizes,
            )
        )

    def deviation(self, name):
        return 1.0 if "mlp.gate.weight" in name else super().deviation(name)

    def logits(self, x):
        output = self.net(inputs_embeds=x, use_cache=False, output_router_logits=True)
        self.routed.append(output.router_logits)
        return output.logits[0]

    def router_losses(self):
        """Balance and z-loss of the sentences since the last call."""
        layers = [torch.cat(parts) for parts in zip(*self.routed)]
        self.routed = []
        balance, z = 0, 0
        for logits in layers:
            (T, E), k = logits.shape, self.top_k
            p = logits.softmax(-1)
            ordered, experts = p.sort(-1, descending=True)
            counts = torch.bincount(experts[:, :k].flatten(), minlength=E)
            balance += E / (len(layers) * T * k) * (counts * p.mean(0)).sum()
            z += logits.logsumexp(-1).square().mean() / len(layers)
            if k < E:
                gaps = (ordered[:, k - 1] / ordered[:, k]).log()
                self.least_gap = min(self.least_gap, gaps.min().item())
        return balance, z


def learning_rate(step, o):
    """Linear warm-up, then cosine to a tenth; steps are counted from 0."""
    if step < o["warmupSteps"]:
        return o["learningRate"] * (step + 1) / o["warmupSteps"]
    progress = (step - o["warmupSteps"]) / (o["steps"] - o["warmupSteps"])
    return o["learningRate"] * (0.1 + 0.45 * (1 + math.cos(math.pi * progress)))


def line(name, tensor):
    data = tensor.detach().contiguous().numpy().astype("<f4").tobytes()
    return f"{name} {base64.b64encode(data).decode()}\n"


def named_as_in_files(name, value):
    """A parameter's value as files have it: experts, which transformers keeps as one, by themselves."""
    if name.endswith("experts.gate_up_proj"):
        F = value.shape[1] // 2
        for e, expert in enumerate(value):
            yield name.replace("gate_up_proj", f"{e}.gate_proj.weight"), expert[:F]
            yield name.replace("gate_up_proj", f"{e}.up_proj.weight"), expert[F:]
    elif name.endswith("experts.down_proj"):
        for e, expert in enumerate(value):
            yield name.replace("down_proj", f"{e}.down_proj.weight"), expert
    else:
        yield name, value


def lines(kind, net, values):
    """One line for each parameter p of the net, with values(p), as the library names and stores it."""
    result = []
    for name, p in net.named_parameters():
        if name.startswith("over_encoding.oe_projs."):
            continue
        name = name.replace("over_encoding.", net.prefix + ".")
        for name, value in named_as_in_files(name, values(p)):
            is_transposed = (".layers." in name and name.endswith(("_proj.weight", "mlp.gate.weight"))) or net.is_transposed(name)
            result.append(line(kind + ":" + name, value.T if is_transposed else value))
    if hasattr(net, "over_encoding"):
        stacked = torch.cat([values(p.weight).T for p in net.over_encoding.oe_projs])
        result.append(line(f"{kind}:{net.prefix}.oe_proj.weight", stacked))
    return result


def make(path, model, lengths, tables=dict(learningRateMultiplier=1.0, weightDecay=0.0)):
    """tables: how the optimizer treats the tables of over-encoding."""
    net = {"gpt2": GPT2, "olmo2": OLMo2, "olmoe": OLMoE}[model["architecture"]](model)
    is_over_encoded = "overEncoding" in model
    g = torch.Generator().manual_seed(1)
    draw = lambda n, length: torch.randint(0, n, (length,), generator=g).tolist()
    sentences = [
        {"inputs": [draw(t["rows"], n) for t in model["inputs"]], "labels": draw(model["labels"], n)}
        for n in lengths
    ]
    if is_over_encoded:
        for s in sentences:
            s["inputs"] += net.over_encoding.rows(s["inputs"][0])
    if "fGrams" in model:
        for s in sentences:
            s["inputs"].append([1 + match for match in draw(model["fGrams"]["longest"], len(s["labels"]))])
    o = dict(learningRate=0.01, warmupSteps=3, steps=10, beta1=0.9, beta2=0.98, epsilon=1e-8, weightDecay=0.1, gradientClip=1.0)
    # With tables every step but the first sees a part of the sentences, so that rows miss steps.
    everything = list(range(len(sentences)))
    batches = [
        [i for i in everything if i % 3 == step % 3] if is_over_encoded and step else everything
        for step in range(o["steps"])
    ]

    weights = [1.0] + next((model[k]["weights"] for k in ("overDecoding", "mtp", "mtpDS") if k in model), [])

    def losses_of_batch(batch):
        """The mean loss of each head over the rows that it predicts at, and its log-probabilities there."""
        batch = [sentences[i] for i in batch]
        results = [net(s["inputs"]) for s in batch]
        losses, parts = [], []
        for head in range(len(weights)):
            part = torch.cat([result[head] for result in results])
            labels = torch.tensor([label for s in batch for label in s["labels"][head:]], dtype=torch.long)
            losses.append(nn.functional.nll_loss(part, labels, reduction="sum") / max(len(labels), 1))
            parts.append(part)
        return losses, parts

    of_tables = list(net.over_encoding.oe_embedders.parameters()) if is_over_encoded else []
    others = [p for p in net.parameters() if not any(p is t for t in of_tables)]
    groups = [
        {"params": [p for p in others if p.dim() > 1], "weight_decay": o["weightDecay"]},
        {"params": [p for p in others if p.dim() == 1], "weight_decay": 0.0},
    ]
    if is_over_encoded:
        groups.append({"params": of_tables, "weight_decay": tables["weightDecay"]})
    adam = torch.optim.AdamW(groups, lr=o["learningRate"], betas=(o["beta1"], o["beta2"]), eps=o["epsilon"])
    arrays, losses, norms, rates, router_losses = [], [], [], [], []
    further = {f"ahead{i + 1}": [] for i in range(1, len(weights))}
    arrays += lines("weight", net, lambda p: p)
    for step in range(o["steps"]):
        rate = learning_rate(step, o)
        for group in adam.param_groups:
            group["lr"] = rate
        if is_over_encoded:
            adam.param_groups[-1]["lr"] = rate * tables["learningRateMultiplier"]
        adam.zero_grad()
        parts, log_probabilities = losses_of_batch(batches[step])
        loss = parts[0]
        total = sum([w * part for w, part in zip(weights[1:], parts[1:])], loss)
        if model["architecture"] == "olmoe":
            balance, z = net.router_losses()
            router_losses.append([balance.item(), z.item()])
            total = total + model["balanceLoss"] * balance + model["zLoss"] * z
        total.backward()
        for p in net.parameters():
            # Of a head that has no row in this batch: nothing to learn, but decay and moments go on.
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        for name, part in zip(further, parts[1:]):
            further[name].append(part.item())
        if step == 0:
            arrays.append(line("logProbabilities", log_probabilities[0]))
            for name, values in zip(further, log_probabilities[1:]):
                arrays.append(line("logProbabilities:" + name, values))
            arrays += lines("gradient", net, lambda p: p.grad)
        norms.append(float(nn.utils.clip_grad_norm_(net.parameters(), o["gradientClip"])))
        losses.append(loss.item())
        rates.append(rate)
        adam.step()
    arrays += lines("final", net, lambda p: p)
    if getattr(net, "least_gap", 1) < 1e-3:
        sys.exit(f"{path}: two experts have logits only {net.least_gap:.1e} apart: take another seed")
    header = dict(model=model, sentences=sentences, optimizer=o, losses=losses, norms=norms, learningRates=rates)
    if is_over_encoded:
        header |= dict(tables=tables, batches=batches)
    if further:
        header |= dict(furtherLosses=further)
    if router_losses:
        header |= dict(balance=[b for b, _ in router_losses], routerZ=[z for _, z in router_losses])
    write(path, json.dumps(header) + "\n" + "".join(arrays))


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
    for seed, trunk in [(2, base), (3, olmo2)]:
        name = trunk["architecture"]
        torch.manual_seed(seed)
        tokens = dict(inputs=[dict(order=1, rows=7)], labels=7, layers=1)
        rows = lambda n, k, m: dict(overEncoding=dict(order=n, slices=k, rows=m, moduli="paper"))
        make(f"{directory}/{name}-oe-3-2.golden", trunk | tokens | dict(tied=False) | rows(3, 2, 30), lengths, dict(learningRateMultiplier=2.0, weightDecay=0.05))
        make(f"{directory}/{name}-oe-2-1.golden", trunk | tokens | dict(tied=name == "gpt2") | rows(2, 1, 40), lengths)
    olmoe = dict(architecture="olmoe", layers=2, width=16, heads=2, context=24, experts=4, topK=2, expertWidth=16, normalizeTopK=False,
                 balanceLoss=0.0, zLoss=0.0, ropeTheta=10000.0, normEpsilon=1e-5)
    tokens = dict(inputs=[dict(order=1, rows=5)], labels=5)
    torch.manual_seed(4)
    make(f"{directory}/olmoe.golden", olmoe | tokens | dict(tied=False), lengths)
    # The same with losses of the routers.
    torch.manual_seed(6)
    make(f"{directory}/olmoe-losses.golden", olmoe | tokens | dict(tied=False, balanceLoss=0.5, zLoss=0.1), lengths)
    # One layer of an odd size, of normalized weights.
    torch.manual_seed(4)
    make(
        f"{directory}/olmoe-joint.golden",
        olmoe
        | dict(
            inputs=[dict(order=i, rows=n) for i, n in [(1, 5), (3, 41)]], labels=14, tied=False, layers=1, width=20, heads=2,
            experts=5, topK=3, expertWidth=9, normalizeTopK=True, ropeTheta=500000.0, normEpsilon=1e-6),
        lengths,
    )
    torch.manual_seed(4)
    make(
        f"{directory}/olmoe-oe-3-2.golden",
        olmoe | dict(inputs=[dict(order=1, rows=7)], labels=7, layers=1, tied=False, overEncoding=dict(order=3, slices=2, rows=30, moduli="paper")),
        lengths, dict(learningRateMultiplier=2.0, weightDecay=0.05))
    make_heads(directory, base, olmo2, lengths)
    make_fgrams(directory, base, olmo2, lengths)


def make_heads(directory, gpt2, olmo2, lengths):
    """Every kind of further heads on both trunks; in the longest chain no head of a sentence of two tokens
    has a label."""
    kinds = {
        "od": dict(overDecoding=dict(heads=3, weights=[0.5, 0.25], rank=0)),
        "od-rank": dict(overDecoding=dict(heads=2, weights=[0.3], rank=5)),
        "mtp": dict(mtp=dict(heads=3, weights=[1.0, 0.5], norm="shared")),
        "mtp-own": dict(mtp=dict(heads=2, weights=[0.7], norm="own")),
        "mtpds": dict(mtpDS=dict(heads=4, weights=[0.4, 0.3, 0.2], order="embeddingFirst", hidden="afterNorm", norm="own")),
        "mtpds-paper": dict(mtpDS=dict(heads=3, weights=[0.3, 0.3], order="hiddenFirst", hidden="beforeNorm", norm="shared")),
    }
    rows = dict(overEncoding=dict(order=3, slices=2, rows=30, moduli="paper"))
    for place, (kind, heads) in enumerate(kinds.items()):
        for trunk in (gpt2, olmo2):
            torch.manual_seed(10 + place)
            is_tied = kind in ("mtp", "mtpds-paper")
            model = trunk | dict(inputs=[dict(order=1, rows=7)], labels=7, layers=1, tied=is_tied) | heads
            make(f"{directory}/{trunk['architecture']}-{kind}.golden", model, lengths)
    # OT: a chain whose condition is over-encoded.
    for trunk in (gpt2, olmo2):
        torch.manual_seed(20)
        model = trunk | dict(inputs=[dict(order=1, rows=7)], labels=7, layers=1, tied=False) | kinds["mtpds"] | rows
        make(f"{directory}/{trunk['architecture']}-ot.golden", model, lengths)


def make_fgrams(directory, gpt2, olmo2, lengths):
    """F-gram models of other depths and heads than the trunk's, with every kind of output."""
    kinds = [
        (gpt2, "fgrams", True, dict(longest=3, layers=1, heads=4, positions=True, output="scaledNorm")),
        (gpt2, "fgrams-none", False, dict(longest=2, layers=2, heads=1, positions=True, output="none")),
        (olmo2, "fgrams", False, dict(longest=4, layers=1, heads=4, positions=True, output="norm")),
        (olmo2, "fgrams-none", True, dict(longest=5, layers=1, heads=2, positions=False, output="none")),
    ]
    for trunk, kind, is_tied, fgrams in kinds:
        torch.manual_seed(30)
        model = trunk | dict(inputs=[dict(order=1, rows=7)], labels=7, layers=1, tied=is_tied, fGrams=fgrams)
        make(f"{directory}/{trunk['architecture']}-{kind}.golden", model, lengths)


main(sys.argv[1])
