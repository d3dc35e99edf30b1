"""Fitted Q evaluation with a neural network: the regression of `fqe_linear`, by a multilayer perceptron.

    f_0 = argmin_f sum_i ( r_i - f(phi_i) )^2
    f_j = argmin_f sum_i ( r_i + gamma sum_m p_{i,m} f_{j-1}(phi'_{i,m}) - f(phi_i) )^2        (j = 1 .. J-1)
    v   = 1/E sum_e sum_m p_{e,m} f_{J-1}(phi_{e,m})

phi_i are the features of the state and the action of row i; phi'_{i,m}, m = 1 .. M, those of the next state
and M actions of the policy with probabilities p (all actions, or draws of it with 1/M each; 0 where the user
left). Each fit goes on from the network of the one before, with Adam. J fits are a horizon of J steps, of one
law at all steps, or, with a discount below 1 and many fits, no end: what is left out is gamma^J of a value.

Its standard error is that of refits: `refits` bootstrap samples of episodes, each fitted anew with other
initial weights, so it holds the noise of the log and of the fit, and not the error of a network that is too
small or fitted too short. Without refits there is none, and the estimate says that it should not be believed.

Believe it: if tables and linear features are not possible, and the value does not change with size, number
of epochs and seed. Fits on top of fits can drift away; compare with an estimator that uses weights.

Needs the extra `torch`: pip install "recsim-env[torch]". Runs on the processor, in float32; equal seeds give
equal values on one machine.

Source: Le, Voloshin, Yue, "Batch policy learning under constraints", ICML 2019; Voloshin, Le, Jiang, Yue,
"Empirical study of off-policy policy evaluation for reinforcement learning", NeurIPS datasets 2021; the
bootstrap: Hao et al., "Bootstrapping fitted Q-evaluation for off-policy inference", ICML 2021.
"""

import math
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError, require
from recsim_env.evaluation.intervals import Estimate
from recsim_env.evaluation.off_policy.padded_episodes import check_discount, check_numbers, check_reward

NO_ERROR = "no standard error: fitted once; give refits, such as 20, to have one"


def fqe_torch(
    features: Array,
    reward: Array,
    next_features: Array,
    next_chance: Array,
    start_features: Array,
    start_chance: Array,
    *,
    fits: int,
    discount: float = 1.0,
    present: Array | None = None,
    hidden: tuple[int, ...] = (64, 64),
    epochs: int = 20,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    refits: int = 0,
    seed: int = 0,
    progress: bool = True,
) -> Estimate:
    """The value of an episode under a policy.

    Args:
        features: (E, H, D) of the state and what was done there, of size about 1.
        reward: (E, H).
        next_features: (E, H, M, D) of the state after the step and M actions of the policy.
        next_chance: (E, H, M) p of these; the sum over M is 1, or 0 where the user left.
        start_features: (E, M', D) of the first state and M' actions of the policy.
        start_chance: (E, M') p of these; the sum over M' is 1.
        fits: J, 1 or more: the steps the policy is evaluated for.
        discount: gamma, in [0, 1].
        present: (E, H) which steps took place, see `padded_episodes`; None = all.
        hidden: units of every hidden layer, with ReLU between.
        epochs: passes over the rows in each fit.
        batch_size: rows of a gradient step.
        learning_rate: of Adam, falling to 0 within each fit along a cosine.
        refits: bootstrap samples of episodes behind the standard error, 2 or more; 0 = none.
        seed: of initial weights, batches and bootstrap samples.
        progress: whether to show a bar.

    Returns:
        The value; the standard deviation of the refits as standard error (nan without), the normal interval,
        and no effective sample size: a network does not tell what rows it is made of.

    Raises:
        InputError: torch is missing; bad input, named by episode and step; a fit that diverged.
    """
    require("torch", "torch")
    import torch
    from tqdm import tqdm

    reward, present = check_reward(reward, present)
    check_discount(discount)
    for name, number, least in (("fits", fits, 1), ("epochs", epochs, 1), ("batch_size", batch_size, 1)):
        if number < least:
            raise InputError(f"{name} must be {least} or more, got {number}")
    if refits < 0 or refits == 1:
        raise InputError(f"refits must be 0 or 2 and more, got {refits}: one has no spread")
    E = len(reward)
    phi = check_numbers("features", features, present, "D")
    after, chance = _policy_features("next", next_features, next_chance, present, phi.shape[2], (0.0, 1.0))
    begin, begin_chance = _policy_features(
        "start",
        np.asarray(start_features)[:, None],
        np.asarray(start_chance)[:, None],
        np.ones((E, 1), np.bool_),
        phi.shape[2],
        (1.0,),
    )
    episode = np.nonzero(present)[0]  # (R,)
    rows = [torch.as_tensor(x[present], dtype=torch.float32) for x in (phi, reward, after, chance)]
    first = [torch.as_tensor(x[:, 0], dtype=torch.float32) for x in (begin, begin_chance)]

    values = []
    with tqdm(total=(1 + refits) * fits, desc="fqe_torch", unit="fit", disable=not progress) as bar:
        for run in range(1 + refits):
            rng = np.random.default_rng([seed, run])
            drawn = np.ones(E) if run == 0 else np.bincount(rng.integers(0, E, E), minlength=E)
            often = torch.as_tensor(drawn[episode], dtype=torch.float32)  # (R,)
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            network = _network(torch, phi.shape[2], hidden, generator)
            targets = rows[1]
            for j in range(fits):
                _fit(torch, network, rows[0], targets, often, epochs, batch_size, learning_rate, generator)
                with torch.no_grad():
                    later = (network(rows[2]).squeeze(-1) * rows[3]).sum(dim=1)
                targets = rows[1] + discount * later
                if not bool(torch.isfinite(targets).all()):
                    raise InputError(
                        f"fit {j} diverged: lower learning_rate, or scale the features to about 1"
                    )
                bar.update()
            with torch.no_grad():
                worth = (network(first[0]).squeeze(-1) * first[1]).sum(dim=1).double().numpy()
            values.append(float(worth @ drawn) / E)
    if not refits:
        return Estimate(values[0], math.nan, E, (math.nan, math.nan), warnings=(NO_ERROR,))
    return Estimate(values[0], float(np.std(values[1:], ddof=1)), refits)


def _network(torch: Any, inputs: int, hidden: tuple[int, ...], generator: Any) -> Any:
    """The perceptron, with PyTorch's uniform initial weights drawn from the generator."""
    layers: list[Any] = []
    for width in hidden:
        layers += [torch.nn.Linear(inputs, width), torch.nn.ReLU()]
        inputs = width
    network = torch.nn.Sequential(*layers, torch.nn.Linear(inputs, 1))
    with torch.no_grad():
        for layer in network[::2]:
            reach = 1 / math.sqrt(layer.in_features)
            layer.weight.uniform_(-reach, reach, generator=generator)
            layer.bias.uniform_(-reach, reach, generator=generator)
    return network


def _fit(
    torch: Any,
    network: Any,
    phi: Any,
    targets: Any,
    often: Any,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    generator: Any,
) -> None:
    """Least squares of rows counted `often` times, by Adam."""
    optimiser = torch.optim.Adam(network.parameters(), learning_rate)
    batches = -(-len(phi) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * batches)
    for _ in range(epochs):
        for batch in torch.randperm(len(phi), generator=generator).split(batch_size):
            error = network(phi[batch]).squeeze(-1) - targets[batch]
            loss = (often[batch] * error**2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()


def _policy_features(
    name: str, features: Array, chance: Array, present: Array, size: int, sums: tuple[float, ...]
) -> tuple[Floats, Floats]:
    """(E, H, M, D) and (E, H, M), checked."""
    features = check_numbers(f"{name}_features", features, present, "M", str(size))
    chance = check_numbers(f"{name}_chance", chance, present, "M")
    if features.shape[3] != size or chance.shape != features.shape[:3]:
        raise InputError(
            f"{name}_features must end in axes (M, {size}) and {name}_chance in (M,), "
            f"got {features.shape} and {chance.shape}"
        )
    total = np.where(present, chance.sum(axis=2), 1.0)
    wrong = (chance < 0).any(axis=2) | (np.abs(total[..., None] - np.array(sums)).min(axis=-1) > 1e-6)
    if wrong.any():
        e, h = np.argwhere(wrong)[0]
        raise InputError(
            f"{name}_chance[{e}, {h}] (episode {e}, step {h}) must hold probabilities that sum to "
            f"{' or '.join(f'{s:g}' for s in sums)}, got a sum of {total[e, h]}"
        )
    return features, chance
