"""How likely the clicks of a log are: users compare what they were shown, and click one item or none.

With a preference z in R^D, item vectors v_i and a slate A of |A| items,

    P(click i) = exp(-|z - v_i|) / (exp(b_|A|) + sum_{j in A} exp(-|z - v_j|))
    P(no click) = exp(b_|A|) / (the same)

The sum runs over what was shown: an item that nobody saw says nothing about what users like. The usual
likelihood of recommenders takes every item for a candidate. Here it is an ablation, `uniform_candidates`:
the items beside the clicked one are exchanged for uniform draws from the catalogue, anew whenever it is
called, so that items count as liked because they were shown often.

Tensors are PyTorch's, which is an extra: pip install "recsim-env[torch]". The same law in NumPy, with which
it is compared in the tests, is `user_models/choices.py: MultinomialLogit`.

Source: Eide, Leslie, Frigessi, "Dynamic slate recommendation with gated recurrent units and Thompson
sampling", Data Mining and Knowledge Discovery 36, 2022. Their code limits logits to [-100, 20]; distances
need no limit.
"""

from typing import Any

LIKELIHOODS = ("slate", "all_items")


def log_likelihood(preference: Any, items: Any, slate: Any, click: Any, no_click: Any) -> Any:
    """(...,) log-probability of what was clicked, 0 where the slate is empty, since nothing can be clicked.

    Args:
        preference: (..., D) z when the slate was shown.
        items: (N, D) v.
        slate: (..., K) int64, -1 = empty slot.
        click: (...,) int64 slot of the click, -1 = none.
        no_click: (K+1,) b by the number of items on the slate.
    """
    import torch

    listed = slate >= 0
    vectors = torch.nn.functional.embedding(slate.clamp(min=0), items)  # (..., K, D)
    utility = -torch.linalg.vector_norm(preference[..., None, :] - vectors, dim=-1)
    nothing = no_click[listed.sum(dim=-1)]
    logits = torch.cat([nothing[..., None], utility.masked_fill(~listed, -torch.inf)], dim=-1)
    return torch.log_softmax(logits, dim=-1).gather(-1, (click + 1)[..., None])[..., 0]


def uniform_candidates(slate: Any, click: Any, num_items: int, generator: Any) -> Any:
    """The slates (..., K) as if every item had been a candidate: all but the clicked one drawn uniformly."""
    import torch

    drawn = torch.randint(num_items, slate.shape, generator=generator)
    kept = torch.arange(slate.shape[-1]) == click[..., None]
    return torch.where(kept | (slate < 0), slate, drawn)
