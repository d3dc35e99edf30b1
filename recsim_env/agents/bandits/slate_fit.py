"""Fitting the posterior of slates to a log: episodes in batches, Adam, and an end when held-out users say so.

    linear, markov    one round: all parts
    gru               two rounds: the items by the simpler linear user, until the held-out loss stalls or half
                      of the epochs are over; then the gates, with the items frozen

A round ends after `patience` epochs without a better loss on the held-out episodes, at the posterior mean,
and the best epoch is kept. A second fit goes on from the first.

Source: Eide, Leslie, Frigessi, "Dynamic slate recommendation with gated recurrent units and Thompson
sampling", Data Mining and Knowledge Discovery 36, 2022: its code has Adam with a rate of 3e-4 and betas of
0.1, batches of 30,000, at most 100 epochs and a patience of 25, for 37 million slates; the numbers here are
for thousands.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from recsim_env.agents.bandits.slate_posterior import Batch, SlatePosterior, episode_terms, negative_elbo
from recsim_env.agents.bandits.slate_user_state import click_weights
from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError, require
from recsim_env.simulators.log import Log

CLIP = 100.0  # norm of a gradient


@dataclass(frozen=True)
class Schedule:
    """How long to fit, and in what steps.

    Raises:
        InputError: a number out of range.
    """

    epochs: int = 40  # at most, of all rounds
    patience: int = 10  # epochs without a better loss
    batch_size: int = 64  # episodes
    learning_rate: float = 0.05  # at first; falls to 0 along a cosine in every round
    held_out: float = 0.1  # share of episodes

    def __post_init__(self) -> None:
        for name in ("epochs", "patience", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if not 0.0 < self.learning_rate < math.inf:
            raise InputError(f"learning_rate must be above 0 and finite, got {self.learning_rate}")
        if not 0.0 <= self.held_out < 1.0:
            raise InputError(f"held_out must be at least 0 and below 1, got {self.held_out}")


def episodes_of(log: Log) -> tuple[Ints, Ints]:
    """Slates (E, H, K) and slots clicked (E, H), both -1 where there is none; H = the longest episode.

    An episode is what one user did, or one `episode` of theirs where the log has that column.

    Raises:
        InputError: no rows, no click, or a slate with two clicks.
    """
    if not len(log) or not log.clicked.any():
        raise InputError(
            f"log must hold a click, got none in {len(log)} rows: there is nothing to learn from"
        )
    clicks = log.clicked.sum(axis=1)
    if (clicks > 1).any():
        row = int(np.argmax(clicks > 1))
        raise InputError(f"log clicks {clicks[row]} items in row {row}: this user clicks one item or none")
    first = np.ones(len(log), np.bool_)
    first[1:] = log.user[1:] != log.user[:-1]
    if log.episode is not None:
        first[1:] |= log.episode[1:] != log.episode[:-1]
    starts = np.flatnonzero(first)
    place = np.cumsum(first) - 1
    step = np.arange(len(log)) - starts[place]
    slate = np.full((len(starts), int(step.max()) + 1, log.slate.shape[1]), -1)
    click = np.full(slate.shape[:2], -1)
    slate[place, step] = log.slate
    click[place, step] = np.where(clicks > 0, log.clicked.argmax(axis=1), -1)
    return slate, click


def fit_posterior(
    posterior: SlatePosterior,
    slate: Ints,
    click: Ints,
    *,
    user_state: str,
    likelihood: str,
    first_scale: float,
    schedule: Schedule,
    seed: int,
    progress: bool,
) -> list[float]:
    """Fit the posterior in place.

    Args:
        posterior: where to go on from.
        slate: (E, H, K), see `episodes_of`.
        click: (E, H).
        user_state: of USER_STATES.
        likelihood: of LIKELIHOODS.
        first_scale: of the prior of h_0.
        schedule: of the fit.
        seed: of batches, draws and of who is held out.
        progress: whether to show a bar.

    Returns:
        Held-out loss per episode after every epoch, of both rounds.

    Raises:
        InputError: torch is missing, or the fit diverged.
    """
    require("torch", "torch")
    import torch

    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(slate), generator=generator)
    held = int(schedule.held_out * len(slate))
    data, group = _batch(torch, slate, click), torch.as_tensor(posterior.group)
    train, valid = (order[held:], order[:held]) if held else (order, order)
    held_out = Batch(*(column[valid] for column in data))
    tensors = posterior.tensors()
    losses: list[float] = []
    rounds = ("linear", "gru") if user_state == "gru" else (user_state,)
    with tqdm(total=schedule.epochs, desc="fit", unit="epoch", disable=not progress) as bar:
        for number, state in enumerate(rounds):
            rules: dict[str, Any] = {
                "user_state": state, "likelihood": likelihood, "first_scale": first_scale
            }  # fmt: skip
            trained = {name for name in tensors if name.startswith("gates") == (state == "gru")}
            if state == "gru":
                trained |= {name for name in tensors if name.startswith("no_click")}
            for name, tensor in tensors.items():
                tensor.requires_grad_(name in trained)
            optimiser = torch.optim.Adam([tensors[name] for name in sorted(trained)], schedule.learning_rate)
            best, kept, waited = math.inf, {}, 0
            epochs = max(1, (schedule.epochs - len(losses)) // (len(rounds) - number))
            end, steps = len(losses) + epochs, epochs * -(-len(train) // schedule.batch_size)
            falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
            while len(losses) < end and waited < schedule.patience:
                shuffled: Any = train[torch.randperm(len(train), generator=generator)]
                for rows in shuffled.split(schedule.batch_size):
                    batch = Batch(*(column[rows] for column in data))
                    optimiser.zero_grad()
                    loss = negative_elbo(
                        tensors, group, batch, **rules, episodes=len(train), generator=generator
                    )
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_([tensors[name] for name in trained], CLIP)
                    optimiser.step()
                    falling.step()
                losses.append(_held_out_loss(torch, tensors, held_out, rules, seed))
                if not math.isfinite(losses[-1]):
                    raise InputError(f"the fit diverged in epoch {len(losses)}: lower learning_rate")
                waited += 1
                if losses[-1] < best:
                    best, waited = losses[-1], 0
                    kept = {name: tensor.detach().clone() for name, tensor in tensors.items()}
                bar.update()
                bar.set_postfix(loss=f"{losses[-1]:.3f}", user=state)
            tensors = kept
    posterior.keep_tensors(tensors)
    return losses


def _batch(torch: Any, slate: Ints, click: Ints) -> Batch:
    chosen = np.take_along_axis(slate, np.maximum(click, 0)[..., None], axis=2)[..., 0]
    item: Array = np.where(click >= 0, chosen, -1)
    weight = torch.as_tensor(click_weights(item), dtype=torch.float32)
    return Batch(torch.as_tensor(slate), torch.as_tensor(click), torch.as_tensor(item), weight)


def _held_out_loss(
    torch: Any, tensors: dict[str, Any], batch: Batch, rules: dict[str, Any], seed: int
) -> float:
    """-ELBO per episode of the terms that are the episodes' own, at the posterior means."""
    means = {name.removesuffix(".mean"): value for name, value in tensors.items() if name.endswith(".mean")}
    with torch.no_grad():
        # the same candidates and h_0 after every epoch
        generator = torch.Generator().manual_seed(seed)
        fit, local = episode_terms(tensors, means, batch, **rules, generator=generator)
    return float((local - fit).mean())
