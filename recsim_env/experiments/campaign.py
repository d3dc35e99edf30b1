"""One attack on one log, and what a defence makes of it: kept while cells about the same are played."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from recsim_env.experiments.attacks import attack
from recsim_env.experiments.defended_victims import Taught, Weighed, surrogate_of, weighed
from recsim_env.experiments.poisoned_log import honest_users, unpopular_items
from recsim_env.simulators.attackers.attack import Budget, Goal
from recsim_env.simulators.attackers.injection import inject
from recsim_env.simulators.log import Log

NO_ATTACK = "none"


@dataclass(frozen=True)
class Campaign:
    """All that fakes depend on."""

    data: str
    users: int  # who are measured, at most
    seed: int
    attack: str
    share: float  # of the honest users
    actions: int  # 0 = as many as an honest user has
    targets: int
    demote: bool


def goal_of(campaign: Campaign) -> Goal:
    """What the attacker wants."""
    honest = honest_users(campaign.data, campaign.users, campaign.seed)
    return Goal(unpopular_items(honest, campaign.targets, campaign.seed), demote=campaign.demote)


@lru_cache(maxsize=1)
def poisoned_log(campaign: Campaign) -> Log:
    """What recommenders learn from: honest users, and fakes behind them."""
    honest = honest_users(campaign.data, campaign.users, campaign.seed)
    if campaign.attack == NO_ATTACK:
        return honest.train
    fakes = max(1, round(campaign.share * len(np.unique(honest.train.user))))
    sent = attack(
        campaign.attack,
        honest.train,
        honest.num_items,
        goal_of(campaign),
        Budget(fakes, campaign.actions or max(campaign.targets + 1, honest.profile_length)),
        campaign.seed,
        features=honest.features,
        surrogate=surrogate_of(honest.num_items),
    )
    return inject(honest.train, sent, campaign.seed)


@lru_cache(maxsize=1)
def judgement(campaign: Campaign, defence: str, taught: Taught) -> Weighed:
    """What a defence says of the users; of the attack it is told the share that `pca` needs, and no more."""
    honest = honest_users(campaign.data, campaign.users, campaign.seed)
    share = campaign.share or 0.01
    return weighed(defence, taught, poisoned_log(campaign), honest.num_items, share, campaign.seed)
