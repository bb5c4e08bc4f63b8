"""GPT-2 in PyTorch as fast as it gets on a CPU, with the weights that `ott-bench weights` writes."""

import json

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def read_safetensors(path):
    """Name → float32 tensor."""
    data = np.fromfile(path, dtype=np.uint8)
    size = int(data[:8].view("<u8")[0])
    header = json.loads(data[8 : 8 + size].tobytes())
    body = data[8 + size :]
    return {
        name: torch.from_numpy(body[slice(*e["data_offsets"])].view("<f4").reshape(e["shape"]).copy())
        for name, e in header.items()
        if name != "__metadata__"
    }


def read_sentences(path):
    """Int64 arrays of ids, as `ott-bench tokens` writes them."""
    words = np.fromfile(path, dtype="<i4")
    ends = np.cumsum(words[1 : 1 + words[0]])
    return np.split(words[1 + words[0] :].astype(np.int64), ends[:-1])


def table_sizes(path):
    """Rows of the over-encoding tables of a weight file."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    tables = {n: e["shape"][0] for n, e in header.items() if n.startswith("transformer.oe_embedders.")}
    return [tables[f"transformer.oe_embedders.{i}.weight"] for i in range(len(tables))]


def grams_of(tokens, moduli, slices, vocabulary):
    """Row of each position of (B, T) tokens in each table: (Σ_{j<n} x_{t−j} Vʲ) mod M."""
    rows = []
    for i, modulus in enumerate(moduli):
        order = 2 + i // slices
        row = np.zeros(tokens.shape, dtype=np.int64)
        for j in reversed(range(order)):
            older = np.zeros_like(tokens)
            older[:, j:] = tokens[:, : tokens.shape[1] - j]
            row = (row * vocabulary + older) % modulus
        rows.append(torch.from_numpy(row))
    return rows


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln_1 = nn.LayerNorm(width)
        self.ln_2 = nn.LayerNorm(width)
        self.attn = nn.ModuleDict({"c_attn": nn.Linear(width, 3 * width), "c_proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def feed_forward(self, x):
        return x + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(x)), approximate="tanh"))

    def attend(self, qkv):
        B, T, C = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
        q, k, v = qkv.view(B, T, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(B, T, C)

    def forward(self, x, places, shape):
        """x is (B, T, C); or (N, C) with the place of each row in the padded (B, T) batch."""
        qkv = self.attn["c_attn"](self.ln_1(x))
        if places is None:
            out = self.attend(qkv)
        else:
            B, T = shape
            padded = qkv.new_zeros(B * T, qkv.shape[1]).index_copy(0, places, qkv)
            out = self.attend(padded.view(B, T, -1)).view(B * T, -1).index_select(0, places)
        return self.feed_forward(x + self.attn["c_proj"](out))

    def step(self, x, cache, place, length):
        """x is (B, 1, C); the cache (2, B, H, T, D) takes the new key and value at `place`."""
        B, C = x.shape[0], x.shape[2]
        q, k, v = self.attn["c_attn"](self.ln_1(x)).view(B, 1, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        cache[0].index_copy_(2, place, k)
        cache[1].index_copy_(2, place, v)
        keys, values = cache[0, :, :, :length], cache[1, :, :, :length]
        out = F.scaled_dot_product_attention(q, keys, values).transpose(1, 2).reshape(B, 1, C)
        return self.feed_forward(x + self.attn["c_proj"](out))


class GPT2(nn.Module):
    """`moduli` are the rows of over-encoding tables: orders 2, 3 … with `slices` tables each."""

    def __init__(self, layers, width, heads, context, vocabulary, moduli=(), slices=1, sparse=False, further=None, ahead=1):
        super().__init__()
        self.further = further if ahead > 1 else None
        self.ahead = range(2, ahead + 1)
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(vocabulary, width),
                "wpe": nn.Embedding(context, width),
                "h": nn.ModuleList([Block(width, heads) for _ in range(layers)]),
                "ln_f": nn.LayerNorm(width),
            }
        )
        if moduli:
            columns = width // len(moduli)
            self.transformer["oe_embedders"] = nn.ModuleList(
                [nn.Embedding(rows, columns, sparse=sparse) for rows in moduli])
            self.transformer["oe_proj"] = nn.Linear(columns * len(moduli), width, bias=False)
        self.moduli, self.slices, self.vocabulary = moduli, slices, vocabulary
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        numbers = [str(i) for i in self.ahead]
        if self.further == "overDecoding":
            self.over_decoding = nn.ModuleDict({i: nn.Linear(width, vocabulary, bias=False) for i in numbers})
        elif self.further == "mtp":
            self.mtp = nn.ModuleDict({i: nn.ModuleDict({"block": Block(width, heads)}) for i in numbers})
        elif self.further == "mtpDS":
            self.mtp_ds = nn.ModuleDict({i: nn.ModuleDict({
                "enorm": nn.RMSNorm(width, eps=1e-6), "hnorm": nn.RMSNorm(width, eps=1e-6),
                "eh_proj": nn.Linear(2 * width, width, bias=False), "block": Block(width, heads),
                "norm": nn.LayerNorm(width)}) for i in numbers})

    def further_losses(self, embedding, hidden, normed, labels):
        """Mean loss of each head over the rows (B, T) that have a label so far ahead."""
        T = labels.shape[1]
        for i in self.ahead:
            n = T - i + 1
            if self.further == "overDecoding":
                logits = self.over_decoding[str(i)](normed[:, :n])
            elif self.further == "mtp":
                block = self.mtp[str(i)]["block"](hidden, None, None)
                logits = self.lm_head(self.transformer["ln_f"](block[:, :n]))
            else:
                head = self.mtp_ds[str(i)]
                rows = torch.cat([head["enorm"](embedding[:, i - 1 :]), head["hnorm"](normed[:, :n])], -1)
                normed = head["norm"](head["block"](head["eh_proj"](rows), None, None))
                logits = self.lm_head(normed)
            yield F.cross_entropy(logits.flatten(0, -2), labels[:, i - 1 :].flatten())

    def tables(self):
        return list(self.transformer["oe_embedders"].parameters()) if self.moduli else []

    def embed(self, tokens, grams):
        """Mean of the token's row and, for each table, its projected row."""
        x = self.transformer["wte"](tokens)
        if not self.moduli:
            return x
        rows = [table(ids) for table, ids in zip(self.transformer["oe_embedders"], grams)]
        return (x + self.transformer["oe_proj"](torch.cat(rows, -1))) / (1 + len(rows))

    def load(self, path):
        """Weights of linear layers are (in, out) in the file, but for the head."""
        tensors = read_safetensors(path)
        state = {
            name: tensor.t() if (".c_" in name or "oe_proj" in name or "eh_proj" in name) and tensor.dim() == 2 else tensor for name, tensor in tensors.items()
        }
        self.load_state_dict(state)
        return self

    def loss(self, tokens, positions, labels, places=None, shape=None, grams=()):
        embedding = x = self.embed(tokens, grams) + self.transformer["wpe"](positions)
        for block in self.transformer["h"]:
            x = block(x, places, shape)
        normed = self.transformer["ln_f"](x)
        loss = F.cross_entropy(self.lm_head(normed).flatten(0, -2), labels.flatten(), ignore_index=-100)
        if not self.further:
            return loss, loss
        return loss, loss + 0.3 * sum(self.further_losses(embedding, x, normed, labels))

    def step(self, tokens, caches, place, length):
        """Logits (B, V) after one more token of every sequence, at `place` = [length − 1]."""
        x = (self.transformer["wte"](tokens) + self.transformer["wpe"](place)).unsqueeze(1)
        for block, cache in zip(self.transformer["h"], caches):
            x = block.step(x, cache, place, length)
        return self.lm_head(self.transformer["ln_f"](x))[:, 0]
