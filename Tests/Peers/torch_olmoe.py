"""transformers' OLMoE with the weights that `ott-bench weights` writes."""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import OlmoeConfig, OlmoeForCausalLM

from torch_models import read_safetensors

# How transformers multiplies by experts: one after another, or all in one call.
IMPLEMENTATIONS = ("eager", "grouped_mm")


class OLMoE(nn.Module):
    def __init__(self, layers, width, heads, context, vocabulary, experts, topK, expertWidth, implementation):
        super().__init__()
        self.net = OlmoeForCausalLM(
            OlmoeConfig(
                vocab_size=vocabulary,
                hidden_size=width,
                intermediate_size=expertWidth,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                num_key_value_heads=heads,
                num_experts=experts,
                num_experts_per_tok=topK,
                max_position_embeddings=context,
                rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
                output_router_logits=False,
                attn_implementation="sdpa",
                experts_implementation=implementation,
                pad_token_id=None,
                eos_token_id=None,
            )
        )

    def tables(self):
        return []

    def load(self, path):
        """Projections, experts and routers are (in, out) in the file, experts one by one."""
        tensors = read_safetensors(path)
        state = {}
        for name in self.net.state_dict():
            if name.endswith(("gate_up_proj", "down_proj")) and ".experts." in name:
                base, part = name.rsplit(".", 1)
                experts = range(self.net.config.num_experts)
                columns = lambda e, part: tensors.pop(f"{base}.{e}.{part}.weight").t()
                state[name] = torch.stack(
                    [torch.cat([columns(e, "gate_proj"), columns(e, "up_proj")]) for e in experts]
                    if part == "gate_up_proj" else [columns(e, part) for e in experts])
            else:
                is_transposed = name.endswith(("_proj.weight", "mlp.gate.weight"))
                tensor = tensors.pop(name)
                state[name] = tensor.t() if is_transposed else tensor
        if tensors:
            raise ValueError(f"{path}: what is {', '.join(tensors)}?")
        self.net.load_state_dict(state)
        return self

    def loss(self, tokens, positions, labels):
        logits = self.net(input_ids=tokens, use_cache=False).logits
        return F.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=-100)
