"""How long a beam search keeps the identifier that is right: what prefix-aware training is to raise.

    recall(l, W) = share of users whose next item's first l codes are among the W beams after level l

A prefix that is lost is lost for good, so recall falls with l; at the last level it is a hit rate of W items.

Source: APAO, "Adaptive prefix-aware optimization for generative recommendation", 2025.
"""

from recsim_env.agents.generative.decoding import beam_step
from recsim_env.agents.generative.policy import GenerativePolicy
from recsim_env.errors import check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402


@torch.no_grad()
def prefix_recall(policy: GenerativePolicy, history: Tensor, items: Tensor, width: int) -> Tensor:
    """Recall (L,) after each level.

    Args:
        policy: is put into evaluation.
        history: (B, H) ids, -1 = an empty cell, all on the left.
        items: (B,) that come next.
        width: W, 1 or more.

    Raises:
        InputError: a number out of range, a history that the policy refuses.
    """
    check_ranges({"width": width}, {}, {})
    trie, next_code = policy.trie, policy.eval().next_code(policy.past(history))
    nodes = torch.zeros((len(history), 1), dtype=torch.int64, device=trie.items.device)
    scores = torch.zeros((len(history), 1), device=trie.items.device)
    parents, codes, items = nodes, nodes - 1, items.to(trie.items.device)
    found = []
    for level in range(trie.length):
        logits = next_code(level, parents, codes)
        parents, nodes, scores = beam_step(trie, level, nodes, scores, logits, width)
        codes = trie.code_of[level][nodes]
        kept = nodes == trie.node_of[level + 1][items, None]
        found.append(kept.any(dim=1).double().mean())
    return torch.stack(found)
