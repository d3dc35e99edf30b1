"""Wrappers of actions, observations, rewards and what is written down: `wrap(env, change, ...)`.

`docs/wrappers.md` has the table of them, with an example each.
"""

from recsim_env.envs.wrappers.candidates import Candidates
from recsim_env.envs.wrappers.change import Change, wrap
from recsim_env.envs.wrappers.discrete_slates import DiscreteSlates
from recsim_env.envs.wrappers.flatten import Flatten
from recsim_env.envs.wrappers.history import History
from recsim_env.envs.wrappers.one_slot import OneSlot
from recsim_env.envs.wrappers.proto_item import ProtoItem
from recsim_env.envs.wrappers.quotas import Quotas
from recsim_env.envs.wrappers.record_log import RecordLog
from recsim_env.envs.wrappers.reward_shaping import RewardShaping
from recsim_env.envs.wrappers.scores_to_slate import ScoresToSlate

__all__ = [
    "Candidates",
    "Change",
    "DiscreteSlates",
    "Flatten",
    "History",
    "OneSlot",
    "ProtoItem",
    "Quotas",
    "RecordLog",
    "RewardShaping",
    "ScoresToSlate",
    "wrap",
]
