"""Tiny language models, made of configurations, over 20 tokens and those of codes."""

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
from recsim_env.agents.generative.language_model.causal_lm_policy import CausalLMPolicy
from recsim_env.agents.generative.language_model.code_tokens import CodeTokens

N, SIZES, WORDS = 24, (4, 3, 4), 20
CODES = np.array(list(np.ndindex(SIZES)))[np.random.default_rng(0).permutation(48)[:N]]
ENDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
KINDS = ("llama", "gpt2")
HISTORY = torch.tensor([[-1, -1, 3, 7], [5, 5, 9, 11], [-1, -1, -1, 2], [-1, -1, -1, -1]])
EVERY = torch.arange(N).expand(4, N)


def model_of(kind, seed=0, dropout=0.0):
    """One with its input and output tables apart, one with a single table."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if kind == "llama":
            return LlamaForCausalLM(
                LlamaConfig(
                    vocab_size=WORDS,
                    hidden_size=16,
                    intermediate_size=24,
                    num_hidden_layers=2,
                    num_attention_heads=2,
                    num_key_value_heads=1,
                    max_position_embeddings=64,
                    attention_dropout=dropout,
                    **ENDS,
                )
            )
        drop = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
        return GPT2LMHeadModel(
            GPT2Config(vocab_size=WORDS, n_embd=16, n_layer=2, n_head=2, n_positions=64, **drop, **ENDS)
        )


def policy_of(kind="llama", seed=0, *, codes=CODES, instruction=(3, 4), dropout=0.0, scale=0.4):
    """With weights so large, unless scale = None, that users and items differ."""
    model, generator = model_of(kind, seed, dropout), torch.Generator().manual_seed(seed)
    tokens = CodeTokens.appended(model, SIZES, instruction=instruction, generator=generator)
    if scale is not None:
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0.0, scale, generator=generator)
    return CausalLMPolicy(model, CatalogueTrie(codes, SIZES), tokens, max_items=4).eval()
