"""What every agent does: act on what it sees, learn from what follows."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

from recsim_env.arrays import Array, Bools, Floats, Ints

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class Transition(NamedTuple):
    """One step of B rows, as the agent saw it."""

    observation: dict[str, Array]  # (B, ...) before the step
    slates: Ints  # (B, K) what was shown, -1 in empty slots
    clicked: Bools  # (B, K)
    examined: Bools  # (B, K) False in empty slots
    reward: Floats  # (B,)
    next_observation: dict[str, Array]  # (B, ...)
    terminated: Bools  # (B,)
    truncated: Bools  # (B,)


class Agent(Protocol):
    """B independent learners, one per row, so that one run of B rows is B replicates.

    What row i does depends on its own observations and luck alone, never on the other rows. All that an
    agent learns is held in attributes that are NumPy arrays: a run saves exactly these to continue later.

    Agents with networks (`deep_rl`) share them over the rows, which then are no replicates: given the
    weights, row i still depends on its own observation and luck alone. Such an agent says so by a class
    attribute `rows_learn_together = True`: a run then keeps all its rows in one process, and `check_agent`
    asks for no independent rows. A run saves their networks, optimisers and generators of PyTorch, too.
    """

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The slates to show, (B, K) distinct items from the top, -1 in unused trailing slots.

        Args:
            observation: what the world lets it see, (B, ...) each.
            luck: the randomness of this step; draw from streams named after the agent.
        """

    def update(self, transition: Transition) -> None:
        """Learn from one step; nothing for an agent that does not learn."""
