"""Preference tuning of a policy: draw items for users, ask what they are worth, and step along a loss.

One step, for B users of a pool and G items each, pi_ref the policy as it was at the start:

    rwr           items from pi_ref, `rwr_loss` of log pi
    dpo           items from pi, `dpo_loss` of a group's best against its worst; equal groups say nothing
    softmax_dpo   items from pi, `dpo_loss` of the best against all that are worth less (S-DPO)
    grpo          items from pi, `grpo_loss`, pi_old = pi: one gradient a draw

and, with `ntp_weight`, that times the mean of -log pi of items that users took next by themselves, which
holds a policy to the log (OneRec's guard). Items are drawn with putting back, from pi itself, but for dpo and
softmax_dpo without, where two alike would say nothing.

The tuner sees log pi, items, rewards and the numbers of the users in the pool: what users are like, nobody
tells it. Dropout is off. `num_generations`, `beta`, `scale_rewards`, `sync_ref_steps`,
`ref_model_mixup_alpha` and what is logged are named as in TRL:

    reward, frac_reward_zero_std, loss    of this step
    kl                                    mean of log pi - log pi_ref over the items drawn, an estimate of
                                          KL(pi || pi_ref) where pi drew them with putting back

Source: see the losses; Deng and others, "OneRec", 2025 (the guard, pairs of best and worst).
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import numpy as np

from recsim_env.agents.generative.policy import GenerativePolicy
from recsim_env.agents.generative.preference.dpo import best_and_worst, check_dpo, dpo_loss
from recsim_env.agents.generative.preference.grpo import SCALES, advantages, check_grpo, grpo_loss
from recsim_env.agents.generative.preference.rwr import check_rwr, rwr_loss
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, check_ranges, require, unknown_name
from recsim_env.simulators.luck import Luck

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402

METHODS = ("rwr", "dpo", "softmax_dpo", "grpo")
WITHOUT_PUTTING_BACK = ("dpo", "softmax_dpo")
LONGEST_GRADIENT = 1.0  # as TRL's max_grad_norm

RewardFunction = Callable[[Ints, Ints], Floats]
"""Numbers of users in the pool (B,), items (B, G) -> what these are worth to them, (B, G), finite."""


@dataclass(frozen=True)
class TuningSettings:
    """How a policy is tuned.

    Raises:
        InputError: an unknown name or a number out of range.
    """

    method: str = "grpo"  # one of METHODS
    batch_size: int = 64  # B, users of a step
    num_generations: int = 16  # G, items of each, 2 or more
    learning_rate: float = 1e-3  # of Adam
    beta: float = 0.1  # of dpo and softmax_dpo, above 0; of grpo the weight of the distance from pi_ref
    loss_type: str = "sigmoid"  # of dpo
    label_smoothing: float = 0.0  # of dpo with loss_type = robust
    temperature: float = 0.5  # of rwr, in units of the reward
    scale_rewards: str = "group"  # of grpo
    epsilon: float = 0.2  # of grpo
    ntp_weight: float = 0.0  # of the log's next items, 0 or more
    sync_ref_steps: int = 0  # steps between two moves of pi_ref towards pi; 0 = it stays
    ref_model_mixup_alpha: float = 1.0  # how far: pi_ref <- alpha pi + (1 - alpha) pi_ref
    seed: int = 0  # of users and draws

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown_name("method", self.method, METHODS)
        if self.num_generations < 2:
            raise InputError(f"num_generations must be at least 2, got {self.num_generations}")
        check_ranges({"batch_size": self.batch_size}, {}, {"learning_rate": self.learning_rate})
        if self.method == "grpo":
            check_grpo(self.beta, self.epsilon, None)
        elif self.method in ("dpo", "softmax_dpo"):
            check_dpo(self.beta, self._loss_type, self.label_smoothing)
        check_rwr(self.temperature, 20.0)
        if self.scale_rewards not in SCALES:
            raise unknown_name("scale_rewards", self.scale_rewards, SCALES)
        for name in ("ntp_weight", "sync_ref_steps", "seed"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"{name} must be 0 or more, got {getattr(self, name)}")
        for name in ("batch_size", "num_generations", "sync_ref_steps", "seed"):
            if not isinstance(getattr(self, name), int | np.integer):
                raise InputError(f"{name} must be a whole number, got {getattr(self, name)}")
        if self.seed >= 1 << 31:
            raise InputError(f"seed must be below 2^31, got {self.seed}")
        if not 0.0 < self.ref_model_mixup_alpha <= 1.0:
            raise InputError(f"ref_model_mixup_alpha must be in (0, 1], got {self.ref_model_mixup_alpha}")

    @property
    def _loss_type(self) -> str:
        return "softmax" if self.method == "softmax_dpo" else self.loss_type


class PreferenceTuner:
    """A policy that is being tuned.

    Args:
        policy: is changed.
        history: (P, H) what the users of the pool took, -1 = an empty cell, all on the left.
        reward: asked for B G items at every step.
        settings: see `TuningSettings`.
        next_item: (P,) what each took next by themselves; needed where ntp_weight > 0.

    Attributes:
        policy: pi.
        reference: pi_ref.
        steps: done.

    Raises:
        InputError: a pool without users, histories and next items that do not fit together, or more items a
            group than there are, where they are drawn without putting back.
    """

    def __init__(
        self,
        policy: GenerativePolicy,
        history: Ints,
        reward: RewardFunction,
        settings: TuningSettings,
        next_item: Ints | None = None,
    ) -> None:
        if history.ndim != 2 or not history.size:
            raise InputError(f"history must be (users, items), one user or more, got {history.shape}")
        if settings.ntp_weight and (next_item is None or next_item.shape != history.shape[:1]):
            found = None if next_item is None else next_item.shape
            raise InputError(f"next_item must be {history.shape[:1]} where ntp_weight > 0, got {found}")
        if settings.num_generations > policy.num_items and settings.method in WITHOUT_PUTTING_BACK:
            raise InputError(
                f"num_generations = {settings.num_generations}, but there are {policy.num_items} items"
            )
        self.policy, self.reward, self.settings = policy.eval(), reward, settings
        self.reference = deepcopy(policy).requires_grad_(requires_grad=False)
        self._history, self._next = torch.from_numpy(history), next_item
        self._optimiser = torch.optim.Adam(policy.parameters(), settings.learning_rate)
        self.steps = 0

    def step(self) -> dict[str, float]:
        """Draw, ask, and follow the gradient once; returns what is logged.

        Raises:
            InputError: rewards of another shape or not finite, a loss that is no number.
        """
        settings = self.settings
        rng = np.random.default_rng([settings.seed, self.steps])
        users = rng.integers(len(self._history), size=settings.batch_size)
        history = self._history[users]
        by = self.reference if settings.method == "rwr" else self.policy
        mode = "gumbel" if settings.method in WITHOUT_PUTTING_BACK else "sample"
        luck = Luck.from_seeds(np.arange(len(users)) + (settings.seed << 32)).at(self.steps)
        items, drawn_log_pi = by.generate(history, settings.num_generations, mode, luck=luck)
        reward = checked_rewards(self.reward(users, items.cpu().numpy()), items.shape).to(items.device)
        log_pi = self.policy.log_prob(history, items)
        with torch.no_grad():
            of_reference = drawn_log_pi if by is self.reference else self.reference.log_prob(history, items)
        loss = self._loss(reward, log_pi, of_reference)
        alike = reward.amax(dim=1) == reward.amin(dim=1)
        held = (
            settings.ntp_weight or settings.method == "rwr" or (settings.method == "grpo" and settings.beta)
        )
        if settings.ntp_weight and self._next is not None:
            rows = rng.integers(len(self._history), size=settings.batch_size)
            taken = torch.from_numpy(self._next[rows])[:, None]
            loss = loss - settings.ntp_weight * self.policy.log_prob(self._history[rows], taken).mean()
        if held or not alike.all():  # else nothing was said, and momentum alone would move the weights
            self._follow(loss)
        self.steps += 1
        if settings.sync_ref_steps and self.steps % settings.sync_ref_steps == 0:
            self._move_reference()
        return {
            "reward": float(reward.mean()),
            "frac_reward_zero_std": float(alike.float().mean()),
            "kl": float((log_pi.detach() - of_reference).mean()),
            "loss": float(loss.detach()),
        }

    def _loss(self, reward: Tensor, log_pi: Tensor, of_reference: Tensor) -> Tensor:
        """Of rewards, log pi and log pi_ref, (B, G) all."""
        settings = self.settings
        if settings.method == "rwr":
            return rwr_loss(log_pi, reward, temperature=settings.temperature)
        if settings.method == "grpo":
            advantage = advantages(reward, settings.scale_rewards)
            return grpo_loss(
                log_pi,
                log_pi.detach(),
                advantage,
                of_reference,
                beta=settings.beta,
                epsilon=settings.epsilon,
            )
        best, worst, differ = best_and_worst(reward)
        s = (log_pi - of_reference)[differ]
        if not len(s):
            return 0.0 * log_pi.sum()
        preferred = s.gather(1, best[differ, None]).squeeze(1)
        if settings.method == "dpo":
            others = s.gather(1, worst[differ, None])
            return dpo_loss(
                preferred,
                others,
                beta=settings.beta,
                loss_type=settings.loss_type,
                label_smoothing=settings.label_smoothing,
            )
        worth_less = reward[differ] < reward[differ].amax(dim=1, keepdim=True)
        others = s.masked_fill(~worth_less, -torch.inf)  # exp of which is 0 in the sum over others
        return dpo_loss(preferred, others, beta=settings.beta, loss_type="softmax")

    def _follow(self, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            raise InputError(
                f"the loss is {loss.item()} at step {self.steps}: lower learning_rate "
                f"({self.settings.learning_rate})"
            )
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.policy.parameters(), LONGEST_GRADIENT)
        self._optimiser.step()

    @torch.no_grad()
    def _move_reference(self) -> None:
        alpha = self.settings.ref_model_mixup_alpha
        pairs = zip(self.reference.parameters(), self.policy.parameters(), strict=True)
        for theirs, ours in pairs:
            theirs.lerp_(ours, alpha)


def checked_rewards(reward: Array, shape: tuple[int, ...]) -> Tensor:
    """Rewards as a tensor.

    Raises:
        InputError: they are of another shape than (B, G), or not finite.
    """
    found = np.asarray(reward, np.float32)
    if found.shape != tuple(shape):
        raise InputError(f"the reward function must return {tuple(shape)} rewards, got {found.shape}")
    if not np.isfinite(found).all():
        user, place = np.argwhere(~np.isfinite(found))[0]
        raise InputError(
            f"the reward function returned {found[user, place]} for item {place} of user {user} of the "
            "batch: rewards must be finite"
        )
    return torch.from_numpy(found)
