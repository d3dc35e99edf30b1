"""The slate recommender of Eide, Leslie and Frigessi: recurrent users, Thompson sampling over whole slates.

A posterior of items and users is fitted to a log (`slate_posterior.py`, `slate_fit.py`), from which S joint
draws are kept. A user's state is computed from what they clicked in this episode (`slate_user_state.py`),
and slates are

    greedy         the K items nearest to the preference, all at their posterior means
    thompson       one draw of all parameters for the request: the K items nearest under it
    in_slate       K draws: slot k holds the best item of draw k that no slot above holds

An in-slate list holds what is good under different beliefs: slates are more diverse, and more is learned of
each. Where the best items of the K draws differ, it is the interleaving of their rankings (best of draw 1,
..., best of draw K, second of draw 1, ...) without repetitions, as in the published code. Where two draws
agree on the best, that goes on with the second of draw 1, and here the later draw gives its own second.

Agents choose the draw of each request, and h_0, by the row's own luck. All rows share one model: the
episodes of all are collected, and after `refit_every` of each row the posterior is fitted to all of them
anew, from where it was. Before the first fit slates are uniformly random. With `likelihood="all_items"` the
model is the usual one that takes every item for a candidate of every click, which is an ablation.

Feedback: the click on the slate shown, or none.
Bound: none is known.
Source: Eide, Leslie, Frigessi, "Dynamic slate recommendation with gated recurrent units and Thompson
    sampling", Data Mining and Knowledge Discovery 36, 2022 (arXiv 2104.15046); details from its published
    code. There every request has draws of its own; here it has one of S (100), drawn after each fit. The
    schedule and the start values are ours.
"""

from typing import TYPE_CHECKING

import numpy as np

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.slate_fit import Schedule, episodes_of, fit_posterior
from recsim_env.agents.bandits.slate_likelihood import LIKELIHOODS
from recsim_env.agents.bandits.slate_lists import fill_slates
from recsim_env.agents.bandits.slate_posterior import SlatePosterior
from recsim_env.agents.bandits.slate_user_state import USER_STATES
from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError, unknown_name
from recsim_env.simulators.log import Log

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck

EXPLORE = ("greedy", "thompson", "in_slate")


class DynamicSlate:
    """One recommender for B users at a time.

    Args:
        num_replicates: B.
        num_items: N.
        slate_size: K, 1 to N.
        horizon: H, slates of an episode at most.
        group: (N,) of each item, numbers from 0; None = one group.
        dimension: D of item vectors.
        user_state: linear, markov or gru.
        explore: greedy, thompson or in_slate.
        likelihood: slate, or all_items.
        first_scale: prior standard deviation of the first state, in the unit of distances (the paper's: 0.5).
        num_draws: S, of the posterior; greedy needs none.
        refit_every: episodes of each row between two fits; 0 = never by itself.
        schedule: of a fit.
        seed: of start values, fits and the S draws.

    Raises:
        InputError: a number out of range, an unknown name, or groups of another shape.
    """

    rows_learn_together = True  # see `Agent`

    def __init__(
        self,
        num_replicates: int,
        num_items: int,
        slate_size: int,
        horizon: int,
        *,
        group: Ints | None = None,
        dimension: int = 5,
        user_state: str = "linear",
        explore: str = "in_slate",
        likelihood: str = "slate",
        first_scale: float = 1.5,
        num_draws: int = 100,
        refit_every: int = 1,
        schedule: Schedule | None = None,
        seed: int = 0,
    ) -> None:
        least = {"num_replicates": num_replicates, "num_items": num_items, "horizon": horizon}
        for name, number in {**least, "dimension": dimension, "num_draws": num_draws}.items():
            if number < 1:
                raise InputError(f"{name} must be 1 or more, got {number}")
        if not 1 <= slate_size <= num_items:
            raise InputError(
                f"slate_size must be from 1 to the number of items ({num_items}), got {slate_size}"
            )
        for kind, name, known in (
            ("user state", user_state, USER_STATES),
            ("way to explore", explore, EXPLORE),
            ("likelihood", likelihood, LIKELIHOODS),
        ):
            if name not in known:
                raise unknown_name(kind, name, known)
        for name, number in (("refit_every", refit_every), ("seed", seed)):
            if number < 0:
                raise InputError(f"{name} must be 0 or more, got {number}")
        if not 0.0 < first_scale < np.inf:
            raise InputError(f"first_scale must be above 0 and finite, got {first_scale}")
        group = np.zeros(num_items, np.int64) if group is None else np.asarray(group)
        if group.shape != (num_items,) or group.dtype.kind not in "iu" or group.min() < 0:
            raise InputError(
                f"group must hold a number of 0 or more for each of {num_items} items, got {group.dtype} "
                f"of {group.shape}"
            )
        B, self.num_items, self.slate_size, self.horizon = num_replicates, num_items, slate_size, horizon
        self.user_state, self.explore, self.likelihood = user_state, explore, likelihood
        self.first_scale, self.refit_every, self.seed = first_scale, refit_every, seed
        self.num_draws = 1 if explore == "greedy" else num_draws
        self.dimension, self.schedule = dimension, schedule or Schedule()
        self.group = group.astype(np.int64)
        self.posterior = SlatePosterior(self.group, slate_size, dimension, seed)
        self.fits = np.zeros(1, np.int64)
        self._keep_draws()
        self.history = np.full((B, horizon), -1)  # items clicked in this episode, in order
        self.count = np.zeros(B, np.int64)  # of them
        self.seen = np.full(B, -1)  # the last step that is counted
        self.playing_slate = np.full((B, horizon, slate_size), -1)
        self.playing_click = np.full((B, horizon), -1)
        self.known_slate = np.empty((0, horizon, slate_size), np.int64)
        self.known_click = np.empty((0, horizon), np.int64)
        self.unlearned = np.zeros(1, np.int64)  # episodes since the last fit

    def fit(self, log: Log, *, progress: bool = True) -> "DynamicSlate":
        """Learn from a log alone: forgets what was learned and played before; equal logs give equal fits.

        Raises:
            InputError: torch is missing, no click, two clicks on one slate, or slates or items that the
                recommender does not know.
        """
        log.check_items(self.num_items)
        if log.slate.shape[1] > self.slate_size:
            raise InputError(
                f"log has slates of {log.slate.shape[1]}, more than slate_size = {self.slate_size}"
            )
        slate, click = episodes_of(log)
        room = self.slate_size - slate.shape[2], max(0, self.horizon - slate.shape[1])
        self.known_slate = np.pad(slate, ((0, 0), (0, room[1]), (0, room[0])), constant_values=-1)
        self.known_click = np.pad(click, ((0, 0), (0, room[1])), constant_values=-1)
        self.posterior = SlatePosterior(self.group, self.slate_size, self.dimension, self.seed)
        self.fits[0] = 0
        self._refit(progress)
        return self

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The slates (B, K); row i depends on the model, its own episode and its own luck.

        Raises:
            InputError: a step beyond the horizon.
        """
        self._follow(observation)
        if not self.fits[0]:
            order = np.argsort(luck.uniform("dynamic_slate/random", (self.num_items,)), axis=1)
            return np.ascontiguousarray(order[:, : self.slate_size])
        M, D = self.slate_size if self.explore == "in_slate" else 1, self.dimension
        draw, noise = np.zeros((len(luck), M), np.int64), np.zeros((len(luck), M, D))
        if self.explore != "greedy":
            draw = (luck.uniform("dynamic_slate/draw", (M,)) * self.num_draws).astype(np.int64)
            noise = luck.normal("dynamic_slate/first_state", (M, D))
        slates = np.empty((len(luck), self.slate_size), np.int64)
        fill_slates(
            USER_STATES.index(self.user_state),
            self.history,
            self.count,
            draw,
            noise,
            self.items,
            self.keep,
            self.gates,
            float(self.posterior.spread_scale[0]),
            self.first_scale,
            slates,
        )
        return slates

    def update(self, transition: Transition) -> None:
        """Keep the step; at the end of enough episodes, fit."""
        step = transition.observation["step"]
        rows = np.arange(len(step))
        clicked = transition.clicked.any(axis=1)
        self.playing_slate[rows, step] = transition.slates
        self.playing_click[rows, step] = np.where(clicked, transition.clicked.argmax(axis=1), -1)
        over = transition.terminated | transition.truncated | (step + 1 == self.horizon)
        if not over.any():
            return
        longer = self.known_slate.shape[1] - self.horizon
        slate = np.pad(self.playing_slate[over], ((0, 0), (0, longer), (0, 0)), constant_values=-1)
        click = np.pad(self.playing_click[over], ((0, 0), (0, longer)), constant_values=-1)
        self.known_slate = np.concatenate([self.known_slate, slate])
        self.known_click = np.concatenate([self.known_click, click])
        self.playing_slate[over], self.playing_click[over] = -1, -1
        self.unlearned[0] += over.sum()
        enough = self.refit_every and self.unlearned[0] >= self.refit_every * len(over)
        if enough and (self.known_click >= 0).any():
            self._refit(progress=False)

    def _follow(self, observation: dict[str, Array]) -> None:
        """Add what was clicked last to the histories, once a step; a step of 0 begins an episode."""
        step, slate, clicked = (observation[name] for name in ("step", "slate", "clicked"))
        if step.max() >= self.horizon:
            raise InputError(
                f"observation is of step {step.max()}, beyond horizon = {self.horizon}: raise it"
            )
        self.count[step == 0] = 0
        new = (step > 0) & (step != self.seen) & (clicked > 0).any(axis=1)
        rows = np.flatnonzero(new)
        self.history[rows, self.count[rows]] = slate[rows, clicked[rows].argmax(axis=1)]
        self.count[rows] += 1
        self.seen = step.copy()

    def _refit(self, progress: bool) -> None:
        fit_posterior(
            self.posterior,
            self.known_slate,
            self.known_click,
            user_state=self.user_state,
            likelihood=self.likelihood,
            first_scale=self.first_scale,
            schedule=self.schedule,
            seed=self.seed * 1_000_003 + int(self.fits[0]),
            progress=progress,
        )
        self.fits[0] += 1
        self.unlearned[0] = 0
        self._keep_draws()

    def _keep_draws(self) -> None:
        """The S draws of what slates are made of, or the means."""
        found = self.posterior.items, self.posterior.keep, self.posterior.gates
        if self.explore == "greedy":
            items, keep, self.gates = (part.mean[None] for part in found)
        else:
            rng = np.random.default_rng([self.seed, 1, int(self.fits[0])])
            items, keep, self.gates = (part.draw(rng, self.num_draws) for part in found)
        self.items = np.ascontiguousarray(items.transpose(0, 2, 1))  # (S, D, N)
        self.keep = np.ascontiguousarray(keep[:, 0])  # (S,)
