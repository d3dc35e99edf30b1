"""A list of items that a policy says one after the other, each in view of those before it on the list.

    pi(i_1 .. i_K | h) = product over k of  pi(i_k | h, i_1 .. i_{k-1}) / (1 - sum over j < k of
                                            pi(i_j | h, i_1 .. i_{k-1}))

What is on the list stands behind the history, as if it had been taken, and is not listed again: the rest of
the catalogue is normalised anew, so that this is a distribution over the lists of K different items. Any
policy can list items so; one that was trained on the next item has never seen its own lists in a history.

Source: Deng and others, "OneRec", 2025, whose session is written item by item, code by code. Ours: a policy
of one item is asked K times, where OneRec learns whole sessions; items are listed once.
"""

from recsim_env.agents.generative.policy import Policy
from recsim_env.errors import InputError, require
from recsim_env.simulators.luck import Luck

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402

LEAST_LEFT = 1e-5  # of pi that the items not yet listed must have; rounding would make up less than that


def generate_session(
    policy: Policy, history: Tensor, k: int, *, width: int | None = None, luck: Luck | None = None
) -> Tensor:
    """Lists of k different items, (B, k).

    Args:
        policy: see `Policy`.
        history: (B, H) ids, -1 = an empty cell, all on the left.
        k: 1 or more, at most N.
        width: of the beam that looks for each item, where nothing is drawn; None = as `generate` has it.
        luck: of B users, for lists drawn from the distribution above, item j at step j; None = the likeliest
            item in every place.

    Raises:
        InputError: k out of range; what `generate` refuses.
    """
    if not 1 <= k <= policy.num_items:
        raise InputError(f"k must be from 1 to {policy.num_items} (items that there are), got {k}")
    lists = history[:, :0]
    allow = torch.ones((len(history), policy.num_items), dtype=torch.bool, device=history.device)
    for place in range(k):
        known = torch.cat([history, lists], dim=1)
        if luck is None:
            found, _ = policy.generate(known, 1, width=width, allow=allow)
        else:  # of those that are allowed, the one with the largest log pi + Gumbel noise is a draw
            found, _ = policy.generate(known, 1, "gumbel", allow=allow, luck=luck.at(place))
        found = found.to(history.device)
        lists = torch.cat([lists, found], dim=1)
        allow = allow.scatter(1, found, value=False)
    return lists


def log_prob_of_session(policy: Policy, history: Tensor, lists: Tensor) -> Tensor:
    """Log pi (B,) of lists (B, K) after histories (B, H), with gradients.

    Raises:
        InputError: a list that holds an item twice; lists of other users; a policy that leaves less than 1e-5
            to what is not yet listed.
    """
    if lists.ndim != 2 or len(lists) != len(history) or not lists.shape[1]:
        raise InputError(f"lists must be ({len(history)}, 1 or more items), got {tuple(lists.shape)}")
    ordered = lists.sort(dim=1).values
    twice = (ordered[:, 1:] == ordered[:, :-1]).any(dim=1)
    if twice.any():
        row = int(twice.nonzero()[0, 0])
        raise InputError(f"lists[{row}] = {lists[row].tolist()} holds an item twice")
    total = torch.zeros(len(history), device=lists.device)
    for place in range(lists.shape[1]):
        known = torch.cat([history, lists[:, :place]], dim=1)
        log_pi = policy.log_prob(known, lists[:, : place + 1]).to(lists.device)
        left = 1.0 - log_pi[:, :place].exp().sum(dim=1)
        if (left < LEAST_LEFT).any():
            row = int((left < LEAST_LEFT).nonzero()[0, 0])
            raise InputError(
                f"the policy gives all but {float(left[row].detach()):.1e} to what lists[{row}] holds before "
                f"place {place}: what is left cannot be told from rounding"
            )
        total = total + log_pi[:, place] - left.log()
    return total
