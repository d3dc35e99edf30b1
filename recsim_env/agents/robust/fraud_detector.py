"""Who of a log's users is a fake, by features of what they did, learned from attacks that are known.

    learns from  `with_synthetic_fakes` of the log: 1 for the fakes that are made here, 0 for all users of the
                 log, undetected fakes included
    reads        `fraud_features`, further columns and, if they are given, states of the users in a
                 recommender that is being trained
    says         the probability s_u of a fake, (U,)
    threshold    logit s = (1 - c) median over users of the log + c median over the fakes that are made here

`known_attacks_` are the attacks it was shown; one that it is tried on must not be among them. As a defence by
itself it leaves out whoever is above the threshold (`hard_filter`); with a cut c of one half, whoever is
nearer to the known fakes than to the users. A probability of one half would be a threshold by luck: how sure
a detector becomes goes by how long it learned, by how many fakes it makes, and by how many undetected ones
are among its examples of honest users. The threshold stays where it is when logits are stretched or moved.

Company of fewer users than half a campaign counts for little (`shrinkage` of `fraud_features`): real logs
have users who are much alike, in small groups, and they are those whom a recommender serves best.

A network, or a long training, learns by heart which users of the log are fakes with the label 0.

Source: Zhang and others, "LoRec", SIGIR 2024 (its LCT, and Detection among what it compares with); see
`FraudNetwork` and `fraud_features` for what is ours.
"""

from collections.abc import Callable, Mapping
from typing import Self

import numpy as np
from scipy.special import expit, logit

from recsim_env.agents.recommender import clicked_items
from recsim_env.agents.robust.defence import hard_filter
from recsim_env.agents.robust.fraud_features import fraud_features
from recsim_env.agents.robust.fraud_network import FraudNetwork, standardised
from recsim_env.agents.robust.synthetic_fakes import check_campaigns, with_synthetic_fakes
from recsim_env.arrays import Bools, Floats
from recsim_env.errors import InputError, check_ranges
from recsim_env.simulators.attackers.attack import Attacker
from recsim_env.simulators.log import Log


class FraudDetector:
    """See the module; a `Defence`.

    Args:
        known_attacks: attackers by name, one or more; all that it ever learns of attacks.
        epochs: of `fit`.
        campaigns: of every known attack.
        targets: of a campaign.
        share: of the users that a campaign has as fakes, above 0 and at most 1.
        cut: c of the threshold, from 0 to 1; a lower one finds weaker campaigns, and more of the honest.
        further: log -> (V, E) columns of all its users, such as a language model's embedding of what they
            did; it is asked about the log with the fakes that are made here.
        clock: whether times are looked at.
        hidden: units of the network; 0 = a line.
        entropy: weight of the entropy, 0 or more.
        learning_rate: of AdamW.
        weight_decay: of AdamW, see `FraudNetwork`.
        batch_size: users of one gradient.
        seed: of all chance.
        num_items: N; None = 1 + the largest id in the log.

    After `begin`: `known_attacks_`; `poisoned_`, the log with its own fakes. After `fit`: `suspicion_` (U,).

    Raises:
        InputError: a number out of range, or no known attack.
    """

    known_attacks_: tuple[str, ...]
    poisoned_: Log
    suspicion_: Floats

    def __init__(
        self,
        known_attacks: Mapping[str, Attacker],
        *,
        epochs: int = 10,
        campaigns: int = 4,
        targets: int = 5,
        share: float = 0.01,
        cut: float = 0.5,
        further: Callable[[Log], Floats] | None = None,
        clock: bool = False,
        hidden: int = 0,
        entropy: float = 0.5,
        learning_rate: float = 0.001,
        weight_decay: float = 3.0,
        batch_size: int = 64,
        seed: int = 0,
        num_items: int | None = None,
    ) -> None:
        check_campaigns(known_attacks, campaigns, targets, share)
        check_ranges({"epochs": epochs}, {"cut": cut}, {})
        self.known_attacks = dict(known_attacks)
        self.epochs, self.campaigns, self.targets, self.share = epochs, campaigns, targets, share
        self.cut = cut
        self.further, self.clock = further, clock
        self.hidden, self.entropy = hidden, entropy
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.batch_size, self.seed, self.num_items = batch_size, seed, num_items
        self._untrained(1)  # so that bad settings are refused here

    def begin(self, log: Log, states: int = 0) -> None:
        """Make fakes, features and an untrained network.

        Args:
            log: of interactions.
            states: numbers of a state, if `train_epoch` and `scores` are given some.
        """
        _, _, N = clicked_items(log, self.num_items)
        self.poisoned_, self._fake = with_synthetic_fakes(
            log,
            self.known_attacks,
            N,
            campaigns=self.campaigns,
            targets=self.targets,
            share=self.share,
            seed=self.seed,
        )
        further = None if self.further is None else self.further(self.poisoned_)
        half_a_campaign = self.share * np.count_nonzero(~self._fake) / 2
        self._features = fraud_features(
            self.poisoned_, N, shrinkage=half_a_campaign, further=further, clock=self.clock
        )
        self.known_attacks_ = tuple(self.known_attacks)
        self._states = states
        self._network = self._untrained(self._features.shape[1] + states)

    def fit(self, log: Log) -> Self:
        """Learn for all epochs, without states."""
        self.begin(log)
        for _ in range(self.epochs):
            self.train_epoch()
        self.suspicion_ = self.scores()
        return self

    def weights(self, log: Log) -> Floats:
        """See `Defence`: 0 for users above the threshold."""
        return hard_filter(self.fit(log).suspicion_, self.threshold())

    def train_epoch(self, states: Floats | None = None) -> float:
        """Learn from everybody once; the mean loss.

        Args:
            states: (V, D) of all users of `poisoned_`; None where none were announced.
        """
        return self._network.train_epoch(self._read(states), self._fake)

    def scores(self, states: Floats | None = None) -> Floats:
        """The probabilities (U,) that the users of the log are fakes; states as in `train_epoch`."""
        return self._network.scores(self._read(states))[~self._fake]

    def threshold(self, states: Floats | None = None) -> float:
        """The probability above which a user is a suspect; states as in `train_epoch`."""
        z = logit(self._network.scores(self._read(states)))
        users, fakes = np.median(z[~self._fake]), np.median(z[self._fake])
        return float(expit(users + self.cut * (fakes - users)))

    @property
    def is_synthetic(self) -> Bools:
        """(V,) which users of `poisoned_` were made here."""
        return self._fake

    def _read(self, states: Floats | None) -> Floats:
        """(V, F) what the network reads."""
        wanted = (len(self._fake), self._states)
        found = (len(self._fake), 0) if states is None else states.shape
        if found != wanted:
            raise InputError(f"states of all users and synthetic fakes must be {wanted}, got {found}")
        both = self._features if states is None else np.concatenate([self._features, states], axis=1)
        return standardised(both, self._fake)

    def _untrained(self, features: int) -> FraudNetwork:
        settings = {"hidden": self.hidden, "batch_size": self.batch_size, "seed": self.seed}
        return FraudNetwork(
            features,
            entropy=self.entropy,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            **settings,
        )
