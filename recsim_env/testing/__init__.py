"""Checks of your own worlds and agents: `check_world`, `check_agent`, and the contracts they run."""

from recsim_env.testing.agent_contracts import AGENT_CONTRACTS, AgentCase
from recsim_env.testing.check import check_agent, check_world
from recsim_env.testing.contracts import Broken, ContractError, Report, Result
from recsim_env.testing.face_contracts import FACE_CONTRACTS
from recsim_env.testing.value_contracts import VALUE_CONTRACTS
from recsim_env.testing.world_case import WorldCase
from recsim_env.testing.world_contracts import WORLD_CONTRACTS

__all__ = [
    "AGENT_CONTRACTS",
    "FACE_CONTRACTS",
    "VALUE_CONTRACTS",
    "WORLD_CONTRACTS",
    "AgentCase",
    "Broken",
    "ContractError",
    "Report",
    "Result",
    "WorldCase",
    "check_agent",
    "check_world",
]
