"""APAO: a beam search must keep every beginning of the right identifier, so the worst beginning counts most.

With P_t = sum over s <= t of log pi(c_s | h, c_1 .. c_{s-1}), the next item's first t codes, t = 1 .. L - 1:

    pointwise   l_t = -P_t / (t tau)
    pairwise    l_t = -(1 / t) log[ e^{P_t / tau} / (e^{P_t / tau} + k_t sum_j e^{P_t^j / tau}) ]
                P_t^j of drawn items j; those that begin with the same t codes are left out, and
                k_t = (number of prefixes of t codes - 1) / (items that are left)
    loss        = sum over t of w_t l_t,      w_t proportional to (l_t / sum of l) exp(eta l_t)

l_t is the mean over the batch; no gradient goes through w.

Source: APAO, "Adaptive prefix-aware optimization for generative recommendation", 2025, and its code
(yuyq18/APAO): 100 negatives, weight .1, tau 1. Ours: sums of exponentials are kept as logarithms; pairs are
made at one step of every user, drawn anew each time, as 100 identifiers at all of them would cost 100 times
the rest.
"""

from typing import cast

from recsim_env.agents.generative.generative_recommender import PolicyEncoder
from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.errors import InputError, check_ranges, require, unknown_name

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402

FORMS = ("pointwise", "pairwise")


class PrefixAware(Auxiliary):
    """The loss above.

    Args:
        weight: of it in the whole loss, above 0.
        form: pointwise or pairwise.
        negatives: items that are drawn for a user, of pairwise.
        temperature: tau, above 0.
        emphasis: eta, 0 or more.

    Raises:
        InputError: an unknown form, a number out of range; `begin`: a policy whose items have one code.
    """

    def __init__(
        self,
        *,
        weight: float = 0.1,
        form: str = "pairwise",
        negatives: int = 100,
        temperature: float = 1.0,
        emphasis: float = 1.0,
    ) -> None:
        super().__init__(weight)
        if form not in FORMS:
            raise unknown_name("form of the prefix-aware loss", form, FORMS)
        check_ranges({"negatives": negatives}, {}, {"temperature": temperature})
        if emphasis < 0:
            raise InputError(f"emphasis must be 0 or more, got {emphasis}")
        self.form, self.negatives = form, negatives
        self.temperature, self.emphasis = temperature, emphasis

    def begin(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """Look at the policy."""
        if not isinstance(network, PolicyEncoder) or network.policy.trie.length < 2:
            raise InputError(
                "the prefix-aware loss needs a GenerativeRecommender whose items have two codes or more"
            )

    def loss(
        self,
        network: SequenceEncoder,
        sequences: Sequences,
        rows: Rows,
        states: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """See `Auxiliary`."""
        policy = cast(PolicyEncoder, network).policy
        items, targets = (torch.from_numpy(part).to(states.device) for part in (rows.items, rows.targets))
        past = policy.steps(states, items)
        if self.form == "pointwise":
            found = policy.log_probs_of(past, targets.clamp(min=0).unsqueeze(2))[targets >= 0]
            return self.weighted(pointwise(of_prefixes(found[:, 0]), self.temperature))
        known = (targets >= 0).float().cpu()
        step = torch.multinomial(known, 1, generator=generator).to(states.device)
        drawn = torch.randint(policy.num_items, (len(items), self.negatives), generator=generator)
        compared = torch.cat([targets.gather(1, step), drawn.to(states.device)], dim=1)
        log_pi = policy.log_probs_of(past.at(step[:, 0]), compared[:, None])[:, 0]
        nodes = torch.stack([node[compared] for node in policy.trie.node_of[1:-1]], dim=2)
        prefixes = torch.tensor([len(codes) for codes in policy.trie.code_of[:-1]], device=states.device)
        return self.weighted(pairwise(of_prefixes(log_pi), nodes, prefixes, self.temperature))

    def weighted(self, losses: Tensor) -> Tensor:
        """The loss of l (L - 1,)."""
        with torch.no_grad():
            tiny = torch.finfo(losses.dtype).tiny  # of a policy that is certain, all of them are 0
            weight = torch.log(losses.clamp(min=tiny)) + self.emphasis * losses
        return (torch.softmax(weight, dim=0) * losses).sum()


def of_prefixes(log_pi: Tensor) -> Tensor:
    """P (..., L - 1) of log pi of the codes (..., L)."""
    sums = [log_pi[..., :length].sum(dim=-1) for length in range(1, log_pi.shape[-1])]
    return torch.stack(sums, dim=-1)  # a running sum has no repeatable gradient on graphics cards


def pointwise(of_prefix: Tensor, temperature: float) -> Tensor:
    """L (L - 1,) of P (n, L - 1)."""
    length = torch.arange(1, of_prefix.shape[1] + 1, device=of_prefix.device)
    return -of_prefix.mean(dim=0) / (length * temperature)


def pairwise(of_prefix: Tensor, nodes: Tensor, prefixes: Tensor, temperature: float) -> Tensor:
    """L (L - 1,).

    Args:
        of_prefix: (U, 1 + n, L - 1) P of the next item and of n drawn ones.
        nodes: (U, 1 + n, L - 1) that say whether two items begin alike.
        prefixes: (L - 1,) how many there are of each length.
        temperature: tau.
    """
    right, others = of_prefix[:, 0] / temperature, of_prefix[:, 1:] / temperature
    same = nodes[:, 1:] == nodes[:, :1]
    left = (~same).sum(dim=1)
    factor = torch.log((prefixes - 1).clamp(min=1) / left.clamp(min=1))
    rest = factor + others.masked_fill(same, -torch.inf).logsumexp(dim=1)
    length = torch.arange(1, right.shape[1] + 1, device=right.device)
    return ((torch.logaddexp(right, rest) - right) / length).mean(dim=0)
