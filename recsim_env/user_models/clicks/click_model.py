"""What every click model offers: the same code simulates users and is fitted to logs."""

from typing import TYPE_CHECKING, Protocol, Self

from recsim_env.arrays import Bools, Floats
from recsim_env.user_models.clicks.response import Response

if TYPE_CHECKING:
    from recsim_env.simulators.log import Log
    from recsim_env.user_models.clicks.click_fit import ClickFit


class ClickModel(Protocol):
    """A frozen dataclass of parameters; attraction (B, K) in [0, 1] comes from outside, 0 in empty slots.

    Attraction is what the papers call attractiveness or relevance: P(click | examined). All probabilities
    are exact. An empty slot is never clicked.
    """

    @property
    def draws_per_slot(self) -> int:
        """How many uniforms `sample` needs for each slot."""

    @classmethod
    def default(cls, num_slots: int) -> Self:
        """A sensible instance for slates of this many slots."""

    def sample(self, attraction: Floats, u: Floats) -> Response:
        """What users do: attraction (B, K), u (B, draws_per_slot, K) -> clicked, examined (B, K)."""

    def click_prob(self, attraction: Floats) -> Floats:
        """(B, K) P(click at k)."""

    def examine_prob(self, attraction: Floats) -> Floats:
        """(B, K) P(slot k is examined)."""

    def conditional_click_prob(self, attraction: Floats, clicked: Bools) -> Floats:
        """(B, K) P(click at k | the clicks above k)."""

    def log_prob(self, attraction: Floats, clicked: Bools) -> Floats:
        """(B,) log-probability of these clicks (B, K), minus infinity if the model cannot make them."""

    @classmethod
    def fit(cls, log: "Log", num_items: int) -> "ClickFit":
        """The parameters and the attraction of every item that make the log most likely.

        Two keyword arguments more: `prior`, pseudo clicks and pseudo misses of every item, slot and passage
        ((1, 1); (0, 0) is maximum likelihood), and where there is no closed form `iterations` of
        expectation-maximisation (None: until it has converged, 20,000 at most).

        Raises:
            InputError: no slates, a slate holds an item outside the catalogue, or settings that are none.
        """
