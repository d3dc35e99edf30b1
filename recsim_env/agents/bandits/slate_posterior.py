"""What is believed of items and users after a log of slates: independent normals, fitted by the ELBO.

Prior, with g(i) the group of item i (one group for all = the "flat" model), coordinate by coordinate:

    mu_g ~ N(0, 5^2),     ln c_g ~ N(0, 2^2),     v_i ~ N(mu_g(i), c_g(i)^2),     h_0 ~ N(0, first_scale^2)
    b ~ N(0, 1) for every slate length,     gamma ~ N(0.5, 0.3^2),     gates ~ N(0, 5^2)

The posterior is a normal of its own for every number (mean field), that of h_0 is read off the clicks
(`slate_user_state.py: first_state`, with one learned number s in [0.001, 5]). Maximised is

    ELBO = E_q[ sum_e log P(clicks of episode e | v, h_0, b, gamma, gates) ] - KL(q || prior)

by a draw of q behind the likelihood and in closed form behind the KL, of items too, where mu and c are
unknown:

    E_q KL(v_i) = E[ln c] - ln sd_i + (sd_i^2 + sd_mu^2 + (m_i - m_mu)^2) E[c^-2] / 2 - 1/2

Source: Eide, Leslie, Frigessi, "Dynamic slate recommendation with gated recurrent units and Thompson
sampling", Data Mining and Knowledge Discovery 36, 2022. Their h_0 has a prior scale of 0.5 and their code
counts the likelihood 100 times. Here it counts once, so that Thompson sampling draws from what the data
leave open, and the prior of h_0 is to be given in the unit of the distances. Their group scales are
max(|c|, 0.001) of a normal c ~ N(0, 5^2), whose E[c^-2] hangs on how often c comes near 0; the logarithm
has no such trap. Start values are ours.
"""

from typing import Any, NamedTuple

import numpy as np

from recsim_env.agents.bandits.slate_likelihood import log_likelihood, uniform_candidates
from recsim_env.agents.bandits.slate_user_state import first_state, preferences
from recsim_env.arrays import Array, Ints

SPREAD_SCALES = (1e-3, 5.0)  # of s
PRIORS = {
    "group_mean": (0.0, 5.0),
    "group_log_scale": (0.0, 2.0),
    "no_click": (0.0, 1.0),
    "keep": (0.5, 0.3),
    "gates": (0.0, 5.0),
}
USED = {  # parts that matter to a user state, beside items and groups
    "linear": ("no_click", "keep"),
    "markov": ("no_click",),
    "gru": ("no_click", "gates"),
}


class MeanField:
    """Independent normals: mean and standard deviation, float32 of one shape."""

    def __init__(self, mean: Array, sd: float) -> None:
        self.mean: Array = np.asarray(mean, np.float32)
        self.sd: Array = np.full(self.mean.shape, sd, np.float32)

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        """(count, ...) float32."""
        return np.asarray(self.mean + self.sd * rng.standard_normal((count, *self.mean.shape)), np.float32)


class SlatePosterior:
    """The normals of all parameters; all of it in NumPy arrays.

    Attributes:
        items: (N, D) v.
        group_mean: (G, D) mu.
        group_log_scale: (G, 1) ln c.
        no_click: (K+1,) b by the number of items on the slate.
        keep: (1,) gamma.
        gates: (7, D, D), see `slate_user_state.preferences`.
        spread_scale: (1,) s.
        group: (N,) int64.
    """

    def __init__(self, group: Ints, slate_size: int, dimension: int, seed: int) -> None:
        rng = np.random.default_rng([seed, 0])
        self.group = group
        centre = rng.standard_normal((int(group.max()) + 1, dimension))
        near = 0.1 * rng.standard_normal((len(group), dimension))
        identity = np.eye(dimension)
        gates = 0.1 / np.sqrt(dimension) * rng.standard_normal((7, dimension, dimension))
        gates[4], gates[6] = identity, identity  # so that the gates begin near gamma = 1/2
        self.items = MeanField(centre[group] + near, 0.1)
        self.group_mean = MeanField(centre, 0.1)
        self.group_log_scale = MeanField(np.zeros((len(centre), 1)), 0.1)
        self.no_click = MeanField(np.zeros(slate_size + 1), 0.1)
        self.keep = MeanField(np.array([0.5]), 0.1)
        self.gates = MeanField(gates, 0.03)
        self.spread_scale = np.array([0.2])

    def parts(self) -> dict[str, MeanField]:
        """The normals by name."""
        return {name: part for name, part in vars(self).items() if isinstance(part, MeanField)}

    def tensors(self) -> dict[str, Any]:
        """Means, logarithms of standard deviations and of s, as tensors to be optimised."""
        import torch

        found = {"spread_scale": torch.tensor(np.log(self.spread_scale), dtype=torch.float32)}
        for name, part in self.parts().items():
            found[f"{name}.mean"] = torch.tensor(part.mean)
            found[f"{name}.log_sd"] = torch.tensor(np.log(part.sd))
        return found

    def keep_tensors(self, tensors: dict[str, Any]) -> None:
        """Take over what was fitted."""
        self.spread_scale = np.clip(np.exp(_array(tensors["spread_scale"])), *SPREAD_SCALES)
        for name, part in self.parts().items():
            part.mean = _array(tensors[f"{name}.mean"])
            part.sd = np.exp(_array(tensors[f"{name}.log_sd"]))


class Batch(NamedTuple):
    """E episodes of at most H slates, as tensors."""

    slate: Any  # (E, H, K) int64, -1 = empty slot, all of them after the end
    click: Any  # (E, H) int64 slot, -1 = none
    item: Any  # (E, H) int64 the item clicked, -1 = none
    weight: Any  # (E, H) float32 `click_weights`


def negative_elbo(
    tensors: dict[str, Any],
    group: Any,
    batch: Batch,
    *,
    user_state: str,
    likelihood: str,
    first_scale: float,
    episodes: int,
    generator: Any,
) -> Any:
    """-ELBO per episode, estimated from some of them and one draw of the parameters.

    Args:
        tensors: of `SlatePosterior.tensors`.
        group: (N,) int64.
        batch: E of the episodes.
        user_state: of USER_STATES.
        likelihood: of LIKELIHOODS.
        first_scale: of the prior of h_0.
        episodes: of the whole log, over which the KL of what they share is spread.
        generator: of the draws.
    """
    value = {name: _draw(tensors, name, generator) for name in ("items", *USED[user_state])}
    fit, local = episode_terms(tensors, value, batch, user_state, likelihood, first_scale, generator)
    return (local - fit).mean() + shared_kl(tensors, group, user_state) / episodes


def episode_terms(
    tensors: dict[str, Any],
    value: dict[str, Any],
    batch: Batch,
    user_state: str,
    likelihood: str,
    first_scale: float,
    generator: Any,
) -> tuple[Any, Any]:
    """(E,) log-likelihood of each episode and (E,) the KL of its h_0.

    Args:
        tensors: for s.
        value: of the parameters by name, such as a draw.
        batch: the episodes.
        user_state: of USER_STATES.
        likelihood: of LIKELIHOODS.
        first_scale: of the prior of h_0.
        generator: of h_0 and of candidates.
    """
    import torch

    vectors = torch.nn.functional.embedding(batch.item.clamp(min=0), value["items"])
    spread_scale = tensors["spread_scale"].exp().clamp(*SPREAD_SCALES)
    mean, sd = first_state(vectors, batch.weight, spread_scale, first_scale)
    noise = torch.randn(mean.shape, generator=generator)
    clicked, keep, gates = batch.item >= 0, value.get("keep"), value.get("gates")
    z = preferences(user_state, mean + sd * noise, vectors, clicked, keep, gates)
    slate = batch.slate
    if likelihood == "all_items":
        slate = uniform_candidates(slate, batch.click, len(value["items"]), generator)
    fit = log_likelihood(z, value["items"], slate, batch.click, value["no_click"]).sum(dim=1)
    return fit, normal_kl(mean, sd, 0.0, first_scale).sum(dim=1)


def shared_kl(tensors: dict[str, Any], group: Any, user_state: str) -> Any:
    """KL of all that episodes share."""
    import torch

    total = torch.zeros(())
    for name in ("group_mean", "group_log_scale", *USED[user_state]):
        mean, log_sd = tensors[f"{name}.mean"], tensors[f"{name}.log_sd"]
        total = total + normal_kl(mean, log_sd.exp(), *PRIORS[name]).sum()
    mean, log_sd = tensors["items.mean"], tensors["items.log_sd"]
    apart = (mean - tensors["group_mean.mean"][group]) ** 2
    square = (2.0 * log_sd).exp() + (2.0 * tensors["group_mean.log_sd"]).exp()[group] + apart
    log_scale, doubt = tensors["group_log_scale.mean"], (2.0 * tensors["group_log_scale.log_sd"]).exp()
    precision = (2.0 * (doubt - log_scale)).exp()[group]  # E[c^-2]
    return total + (log_scale[group] - log_sd + 0.5 * (square * precision - 1.0)).sum()


def normal_kl(mean: Any, sd: Any, prior_mean: Any, prior_sd: Any) -> Any:
    """KL(N(mean, sd^2) || N(prior_mean, prior_sd^2)), number by number."""
    import torch

    ratio = sd / prior_sd
    return 0.5 * (ratio**2 + ((mean - prior_mean) / prior_sd) ** 2 - 1.0) - torch.log(ratio)


def _draw(tensors: dict[str, Any], name: str, generator: Any) -> Any:
    import torch

    mean, log_sd = tensors[f"{name}.mean"], tensors[f"{name}.log_sd"]
    return mean + log_sd.exp() * torch.randn(mean.shape, generator=generator)


def _array(tensor: Any) -> Array:
    return np.array(tensor.detach().numpy())
