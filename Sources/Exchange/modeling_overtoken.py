"""Models of overtoken whose input is more than one row of one table: over-encoding, n-grams of symbols, f-grams.

The trunk is the class of transformers that `config.trunk` names; this file adds the input (Over-Tokenized
Transformer, section 3 and Algorithm 1; SCONE, Algorithm 1). An n-gram needs the tokens before the newest one, so the ids of a
sequence live in the cache beside its keys and values: whatever reorders, repeats or crops these does the
same to the ids.
"""

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, DynamicCache, GenerationMixin, PreTrainedModel
from transformers import PretrainedConfig
from transformers.modeling_outputs import CausalLMOutputWithPast

# An id that stands for no token: padding, and what is before the start of a document.
NONE = -1


class OvertokenConfig(PretrainedConfig):
    model_type = "overtoken"

    def __init__(self, trunk=None, trunk_name="model", token_table="embed_tokens", tables=(), fgrams=None, **kwargs):
        self.trunk = dict(trunk or {})
        self.trunk_name = trunk_name
        self.token_table = token_table
        self.tables = list(tables)
        self.fgrams = fgrams
        self.use_cache = kwargs.pop("use_cache", True)
        super().__init__(**kwargs)


class IdCache(DynamicCache):
    """Keys and values, and the ids (B, T) that they were made from."""

    ids = None

    def append(self, ids):
        self.ids = ids if self.ids is None else torch.cat([self.ids, ids], dim=1)
        return self.ids

    def _select(self, choose):
        if self.ids is not None:
            self.ids = choose(self.ids)

    def reorder_cache(self, beam_idx):
        super().reorder_cache(beam_idx)
        self._select(lambda ids: ids.index_select(0, beam_idx.to(ids.device)))

    def batch_repeat_interleave(self, repeats):
        super().batch_repeat_interleave(repeats)
        self._select(lambda ids: ids.repeat_interleave(repeats, dim=0))

    def batch_select_indices(self, indices):
        super().batch_select_indices(indices)
        self._select(lambda ids: ids[indices, ...])

    def crop(self, max_length, *args, **kwargs):
        super().crop(max_length, *args, **kwargs)
        self._select(lambda ids: ids[:, :max_length])

    def reset(self):
        super().reset()
        self.ids = None


def trunk_of(described, attention):
    """The class of transformers that a configuration names, its weights not loaded yet."""
    described = dict(described)
    config = AutoConfig.for_model(described.pop("model_type"), **described)
    return AutoModel.from_config(config, attn_implementation=attention)


class OvertokenForCausalLM(PreTrainedModel, GenerationMixin):
    config_class = OvertokenConfig
    _supports_sdpa = True
    _supports_flash_attn = True

    def __init__(self, config):
        super().__init__(config)
        trunk = trunk_of(config.trunk, config._attn_implementation)
        setattr(self, config.trunk_name, trunk)
        C = config.hidden_size
        own = getattr(trunk, config.token_table)
        for i, table in enumerate(config.tables):
            if not config.projected and table["name"] == config.token_table:
                setattr(trunk, config.token_table, nn.Embedding(table["rows"], C))
                own = None
            elif not config.projected:
                trunk.add_module(table["name"], nn.Embedding(table["rows"], C))
        if config.projected:
            trunk.oe_embedders = nn.ModuleList(nn.Embedding(t["rows"], t["width"]) for t in config.tables)
            columns = sum(t["width"] for t in config.tables)
            if config.normalized:
                trunk.oe_norm = nn.RMSNorm(columns, eps=1e-6)
            trunk.oe_proj = nn.Linear(columns, C, bias=False)
        if not config.tied_head:
            self.lm_head = nn.Linear(C, config.vocab_size, bias=False)
        # The trunk's own table of tokens, where the model has none.
        if own is not None and not (config.tied_head or config.reads_tokens or config.fgrams):
            delattr(trunk, config.token_table)
        if config.fgrams:
            self._add_fgrams(config)
        self.post_init()

    def _add_fgrams(self, config):
        """The f-gram model, and the keys of its f-grams by length: see `longest_fgrams`."""
        described = config.fgrams
        self.fgrams = trunk_of(described["trunk"], config._attn_implementation)
        delattr(self.fgrams, config.token_table)
        if not described["normalized"]:
            norm = next(name for name in ("norm", "ln_f") if hasattr(self.fgrams, name))
            setattr(self.fgrams, norm, nn.Identity())
        if described["positions"]:
            self.fgrams.wpe = nn.Embedding(described["longest"], config.hidden_size)
        self.fgram_keys = nn.Module()
        for length, count in enumerate(described["counts"], 2):
            self.fgram_keys.register_buffer(str(length), torch.zeros(count, dtype=torch.int64))

    def _init_weights(self, module):
        """Weights are loaded; those that a file lacks are normal draws."""
        if isinstance(module, (nn.Linear, nn.Embedding)):
            module.weight.data.normal_(std=0.02)

    @property
    def _trunk(self):
        return getattr(self, self.config.trunk_name)

    def get_input_embeddings(self):
        return getattr(self._trunk, self.config.token_table, None)

    def set_input_embeddings(self, value):
        setattr(self._trunk, self.config.token_table, value)

    def get_output_embeddings(self):
        return getattr(self, "lm_head", None)

    @staticmethod
    def rows(table, ids):
        """Rows of `table` (B, T) for ids (B, T): ((sum over j of x[t-j] radix**j) mod modulus) + bias."""
        tokens = ids.clamp(min=0)
        code = torch.zeros_like(tokens)
        for j in reversed(range(table["order"])):
            older = tokens if j == 0 else nn.functional.pad(tokens, (j, 0))[:, : tokens.shape[1]]
            code = code * table["radix"] + older
            if table["modulus"] is not None:
                code = code % table["modulus"]
        if table["bias"]:
            seen = (ids != NONE).cumsum(dim=1) - 1
            code = code + torch.tensor(table["bias"], device=ids.device)[seen.clamp(0, table["order"])]
        return code * (ids != NONE)

    def longest_fgrams(self, ids):
        """The longest f-gram that ends at each of the ids (B, T): its tokens, at least 1, and its number.

        Key p * V + x is that of token x behind f-gram number p, one token shorter; keys ascend, and the number
        of an f-gram is the place of its key among those of its length. Whatever begins or ends an f-gram is one.
        """
        length = torch.ones_like(ids)
        number = shorter = ids
        for n, name in enumerate(self.fgram_keys._buffers, 2):
            keys = self.fgram_keys._buffers[name]
            if keys.numel() == 0 or ids.shape[1] < n:
                break
            prefix = nn.functional.pad(shorter, (1, 0), value=NONE)[:, :-1]
            wanted = prefix * self.config.vocab_size + ids
            place = torch.searchsorted(keys, wanted).clamp(max=keys.numel() - 1)
            found = (keys[place] == wanted) & (prefix != NONE) & (ids != NONE)
            shorter = torch.where(found, place, NONE)
            length = torch.where(found, n, length)
            number = torch.where(found, place, number)
        return length, number

    def embed_fgrams(self, ids, count):
        """As `embed`, of a model with f-grams: each distinct f-gram runs once, those of a length together."""
        table = self.get_input_embeddings()
        length, number = (x[:, -count:] for x in self.longest_fgrams(ids))
        result = table(ids[:, -count:].clamp(min=0)).clone()
        for n in range(2, self.config.fgrams["longest"] + 1):
            at = (length == n).nonzero()
            if len(at) == 0:
                continue
            distinct, which = number[length == n].unique(return_inverse=True)
            first = torch.empty_like(distinct).scatter_(0, which, torch.arange(len(at), device=ids.device))
            sequence, end = at[first].unbind(1)
            end = end + ids.shape[1] - count
            tokens = ids[sequence[:, None], end[:, None] + torch.arange(1 - n, 1, device=ids.device)]
            x = table(tokens)
            if self.config.fgrams["positions"]:
                x = x + self.fgrams.wpe.weight[:n]
            rows = self.fgrams(inputs_embeds=x, use_cache=False).last_hidden_state[:, -1]
            result[length == n] = rows[which].to(result.dtype)
        return result

    def embed(self, ids, count):
        """The embedding (B, count, C) of the last `count` of the ids of each sequence."""
        config, trunk = self.config, self._trunk
        if config.fgrams:
            return self.embed_fgrams(ids[:, max(0, ids.shape[1] - count - config.fgrams["longest"] + 1) :], count)
        longest = max(t["order"] for t in config.tables)
        if not any(t["bias"] for t in config.tables):
            # What came longer before plays no part.
            ids = ids[:, max(0, ids.shape[1] - count - longest + 1) :]
        rows = [self.rows(table, ids)[:, -count:] for table in config.tables]
        if not config.projected:
            return sum(getattr(trunk, t["name"])(r) for t, r in zip(config.tables, rows))
        looked_up = torch.cat([table(r) for table, r in zip(trunk.oe_embedders, rows)], dim=-1)
        if config.normalized:
            looked_up = trunk.oe_norm(looked_up)
        embedding = config.table_scale * trunk.oe_proj(looked_up)
        if config.reads_tokens:
            embedding = embedding + self.get_input_embeddings()(ids[:, -count:].clamp(min=0))
        return config.scale * embedding

    def forward(
        self, input_ids=None, attention_mask=None, position_ids=None, past_key_values=None, inputs_embeds=None,
        labels=None, use_cache=None, logits_to_keep=0, **kwargs,
    ):  # fmt: skip
        if inputs_embeds is not None or input_ids is None:
            raise ValueError("n-grams need input_ids: inputs_embeds cannot stand in for them")
        use_cache = self.config.use_cache if use_cache is None else use_cache
        if past_key_values is not None and not isinstance(past_key_values, IdCache):
            if past_key_values.get_seq_length() > 0:
                raise ValueError("past_key_values: expected the cache of an earlier call of this model")
            past_key_values = None
        if past_key_values is None and use_cache:
            past_key_values = IdCache()
        count = input_ids.shape[1]
        ids = input_ids
        if attention_mask is not None and attention_mask.dim() == 2:
            ids = ids.masked_fill(attention_mask[:, -count:] == 0, NONE)
        if past_key_values is not None:
            ids = past_key_values.append(ids)
        outputs = self._trunk(
            inputs_embeds=self.embed(ids, count), attention_mask=attention_mask, position_ids=position_ids,
            past_key_values=past_key_values, use_cache=use_cache,
        )  # fmt: skip
        hidden = outputs.last_hidden_state
        kept = hidden[:, -logits_to_keep:] if isinstance(logits_to_keep, int) else hidden[:, logits_to_keep]
        head = self.get_input_embeddings() if self.config.tied_head else self.lm_head
        logits = nn.functional.linear(kept, head.weight)
        loss = None
        if labels is not None:
            loss = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=outputs.past_key_values)
