"""GraphRfi, a small relative: whom the recommender explains badly is suspicious, and counts less for it.

With p_u, q_i of matrix factorisation (`ImplicitALSRecommender`) and the error e_ui = (1 - p_u . q_i)^2:

    repeat R times:
        p, q  fitted to the log and the defender's own fakes, users weighed by 1 - s_u (by 1 at first)
        s_u   the detector's probability of a fake, from p_u and mean, deviation and largest e_ui of u's items

Weights are 1 - s_u, `suspicion_` is s_u.

Source: Zhang and others, "GCN-based user representation learning for unifying robust recommendation and
fraudster detection" (GraphRfi), SIGIR 2020. Ours: matrix factorisation in place of a graph network, two
layers (`FraudNetwork`) in place of a forest of neural trees, one after the other in place of one loss of
both; labels of the defender's own fakes, where it has some of real ones; no profiles of users.
"""

from collections.abc import Mapping

import numpy as np

from recsim_env.agents.baselines.implicit_als import ImplicitALSRecommender
from recsim_env.agents.recommender import clicked_items
from recsim_env.agents.robust.fraud_network import HIDDEN, FraudNetwork, standardised
from recsim_env.agents.robust.synthetic_fakes import check_campaigns, with_synthetic_fakes
from recsim_env.agents.robust.user_histories import user_histories
from recsim_env.arrays import Floats, Ints
from recsim_env.errors import check_ranges
from recsim_env.simulators.attackers.attack import Attacker
from recsim_env.simulators.log import Log


class GraphRfiLike:
    """See the module; a `Defence`.

    Args:
        known_attacks: attackers by name, one or more.
        rounds: R.
        epochs: of the detector, in every round.
        dimension: of p and q.
        sweeps: of the factorisation, in every round.
        campaigns: of every known attack.
        targets: of a campaign.
        share: of the users that a campaign has as fakes, above 0 and at most 1.
        seed: of all chance.
        num_items: N; None = 1 + the largest id in the log.

    After `weights`: `suspicion_` (U,); `known_attacks_`.

    Raises:
        InputError: a number out of range, or no known attack.
    """

    suspicion_: Floats
    known_attacks_: tuple[str, ...]

    def __init__(
        self,
        known_attacks: Mapping[str, Attacker],
        *,
        rounds: int = 2,
        epochs: int = 10,
        dimension: int = 32,
        sweeps: int = 4,
        campaigns: int = 4,
        targets: int = 5,
        share: float = 0.01,
        seed: int = 0,
        num_items: int | None = None,
    ) -> None:
        check_campaigns(known_attacks, campaigns, targets, share)
        sizes = {"rounds": rounds, "epochs": epochs, "dimension": dimension, "sweeps": sweeps}
        check_ranges(sizes, {}, {})
        self.known_attacks = dict(known_attacks)
        self.rounds, self.epochs, self.dimension, self.sweeps = rounds, epochs, dimension, sweeps
        self.campaigns, self.targets, self.share = campaigns, targets, share
        self.seed, self.num_items = seed, num_items

    def weights(self, log: Log) -> Floats:
        """See `Defence`."""
        _, _, N = clicked_items(log, self.num_items)
        self.known_attacks_ = tuple(self.known_attacks)
        both, fake = with_synthetic_fakes(
            log,
            self.known_attacks,
            N,
            campaigns=self.campaigns,
            targets=self.targets,
            share=self.share,
            seed=self.seed,
        )
        history = user_histories(both)
        score = np.zeros(len(fake))
        for _ in range(self.rounds):
            model = ImplicitALSRecommender(
                dimension=self.dimension, sweeps=self.sweeps, seed=self.seed, num_items=N
            ).fit(both, 1.0 - score)
            x = standardised(explained(model, history), fake)
            network = FraudNetwork(x.shape[1], seed=self.seed, **HIDDEN)
            for _ in range(self.epochs):
                network.train_epoch(x, fake)
            score = network.scores(x)
        self.suspicion_ = score[~fake]
        return 1.0 - self.suspicion_


def explained(model: ImplicitALSRecommender, history: Ints) -> Floats:
    """Vectors of users with histories (V, H), and mean, deviation and largest of their errors, (V, D + 3)."""
    p, there = model.users(history), history >= 0
    error = np.empty(history.shape)
    for start in range(0, len(p), 1024):
        rows = slice(start, start + 1024)
        error[rows] = (1.0 - np.einsum("vd,vhd->vh", p[rows], model.items_[history[rows]])) ** 2
    count = np.maximum(1, there.sum(axis=1))
    mean = np.where(there, error, 0.0).sum(axis=1) / count
    spread = np.sqrt(np.where(there, (error - mean[:, None]) ** 2, 0.0).sum(axis=1) / count)
    most = np.where(there, error, 0.0).max(axis=1)
    return np.column_stack([p, mean, spread, most])
