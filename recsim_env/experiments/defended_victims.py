"""Recommenders that are attacked, and what protects them, by name: what `poisoning` trains.

als          matrix factorisation; users are folded in
sasrec       a sequence encoder scored by cosines, of id vectors; needs PyTorch

none         nothing
lorec        weights by a detector that looks again and again (`agents/robust/lorec.py`)
lorec_mean   the same as it was published: hidden units, and who is above the mean is suspected
lorec_within the same as lorec while a network learns, of which the detector reads the states; not for als
filter       the detector of lorec, once; whom it finds nearer to known fakes than to users is left out
graphrfi     weights by a detector that sees how badly matrix factorisation explains a user
pca          the share of users that has least to do with the main components is left out
adversarial  vectors are pushed while a network learns; not for als
limit        the share of lists that an item may stand on is bounded (`agents/robust/exposure_limit.py`)
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from recsim_env.agents.baselines.implicit_als import ImplicitALSRecommender
from recsim_env.agents.robust.exposure_limit import LimitedRecommender, fair_rates
from recsim_env.agents.robust.pca_detector import PCADetector
from recsim_env.arrays import Bools, Floats
from recsim_env.errors import InputError, require
from recsim_env.experiments.attacks import ATTACKS
from recsim_env.experiments.sequential_models import Training, recommender_of
from recsim_env.experiments.settings import names_of
from recsim_env.simulators.attackers.attack import Attacker
from recsim_env.simulators.log import Log

DIMENSION, SWEEPS = 32, 4  # of matrix factorisation
NETWORK = Training(
    negatives=512, blocks=1, dropout=0.3, temperature=0.07, learning_rate=2e-3, averaging=0.99, patience=3
)
VICTIMS = ("als", "sasrec")
DEFENCES = (
    "none",
    "lorec",
    "lorec_mean",
    "lorec_within",
    "filter",
    "graphrfi",
    "pca",
    "adversarial",
    "limit",
)
OF_NETWORKS = ("lorec_within", "adversarial")  # what is built into a training
UPDATES = 6  # of the weights before they apply, of `lorec_within`; as many as `LoRec` has in its 30
HALF = 0.5  # weight below which a user counts as flagged


@dataclass(frozen=True)
class Taught:
    """What a detector is told of attacks."""

    lessons: tuple[str, ...]  # keys of `ATTACKS` that it learns from, which need no knowledge of the log
    cut: float = 0.5  # where between users and known fakes a suspect begins, of `FraudDetector`

    @property
    def known(self) -> dict[str, Attacker]:
        """The attackers by name."""
        return {name: ATTACKS[name].make() for name in self.lessons}


@dataclass(frozen=True)
class Weighed:
    """What a defence says of the users of a log, in the order of their ids."""

    weights: Floats | None = None  # (U,); None = everybody counts the same
    suspicion: Floats | None = None  # (U,) higher = more likely a fake; None = it does not say

    @property
    def flagged(self) -> Bools:
        """(U,) who counts for less than half."""
        assert self.weights is not None
        return self.weights < HALF


def factorisation(num_items: int, seed: int) -> ImplicitALSRecommender:
    """The victim `als`, and the surrogate of attackers who plan."""
    return ImplicitALSRecommender(dimension=DIMENSION, sweeps=SWEEPS, seed=seed, num_items=num_items)


def surrogate_of(num_items: int) -> Callable[[int], ImplicitALSRecommender]:
    """What a white-box attacker trains: seed -> an untrained recommender."""
    return partial(factorisation, num_items)


def weighed(defence: str, taught: Taught, log: Log, num_items: int, share: float, seed: int) -> Weighed:
    """What a defence makes of a log that may hold fakes.

    Args:
        defence: one of `DEFENCES`.
        taught: what a detector is told.
        log: whose users are weighed.
        num_items: N.
        share: of users whom `pca` leaves out.
        seed: of all chance.
    """
    if defence in ("none", "limit", *OF_NETWORKS):
        return Weighed()
    made: Any
    if defence == "pca":
        made = PCADetector(share=share)
    else:
        from recsim_env.agents.robust.fraud_detector import FraudDetector
        from recsim_env.agents.robust.fraud_network import HIDDEN
        from recsim_env.agents.robust.graphrfi_like import GraphRfiLike
        from recsim_env.agents.robust.lorec import LoRec

        of_all: dict[str, Any] = {"seed": seed, "num_items": num_items}
        if defence == "graphrfi":
            made = GraphRfiLike(taught.known, dimension=DIMENSION, sweeps=SWEEPS, **of_all)
        elif defence == "lorec_mean":
            made = LoRec(FraudDetector(taught.known, **HIDDEN, **of_all), rule="mean")
        else:
            detector = FraudDetector(taught.known, cut=taught.cut, **of_all)
            made = detector if defence == "filter" else LoRec(detector)
    weights = made.weights(log)
    return Weighed(weights, made.suspicion_)


def train(
    victim: str,
    defence: str,
    taught: Taught,
    log: Log,
    judged: Weighed,
    num_items: int,
    *,
    epochs: int,
    mask: bool,
    seed: int,
) -> tuple[Any, Weighed]:
    """A recommender that has learned from a log, and what its defence says of the users.

    Args:
        victim: one of `VICTIMS`.
        defence: one of `DEFENCES`; here only those of `OF_NETWORKS` play a part.
        taught: as in `weighed`.
        log: with fakes or without.
        judged: what `weighed` made of it.
        num_items: N.
        epochs: of a network.
        mask: whether validation leaves out what users had.
        seed: of the training.
    """
    if victim == "als":
        return factorisation(num_items, seed).fit(log, judged.weights), judged
    network = recommender_of(
        "cosine_sasrec", replace(NETWORK, epochs=epochs), num_items=num_items, seed=seed, mask_history=mask
    )
    if defence == "adversarial":
        from recsim_env.agents.robust.adversarial_training import AdversarialTraining

        network.auxiliaries = lambda: [
            AdversarialTraining(objective=NETWORK.objective, negatives=NETWORK.negatives)
        ]
    if defence == "lorec_within":
        from recsim_env.agents.robust.fraud_detector import FraudDetector
        from recsim_env.agents.robust.lorec import LoRec

        detector = FraudDetector(taught.known, cut=taught.cut, seed=seed, num_items=num_items)
        half = max(1, epochs // 2)
        within = LoRec(detector, epochs=epochs, every=max(1, half // UPDATES), warm_up=half, states=True)
        within.train(network, log)
        return network, Weighed(within.reweighting_.weights, within.suspicion_)
    return network.fit(log, judged.weights), judged


def limited(recommender: Any, log: Log, factor: float, k: int) -> LimitedRecommender:
    """The victim behind `limit`, whose rates come from the log that it learned from, fakes and all.

    Args:
        recommender: fitted.
        log: it learned from.
        factor: of the rates, see there.
        k: places of a list.
    """
    return LimitedRecommender(recommender, factor * fair_rates(log, recommender.num_items_, k), k=k)


def check_victims(victims: str, defences: str) -> tuple[list[str], list[str]]:
    """`als,sasrec` and `none,lorec` -> the names; `none` comes first, for all others are held against it.

    Raises:
        InputError: an unknown name, a name twice, or none; a missing library.
    """
    found = [
        names_of("victims", "victim", victims, VICTIMS),
        names_of("defences", "defence", defences, DEFENCES),
    ]
    if "none" not in found[1]:
        raise InputError(f"defences must hold none, against which all others are held, got {defences!r}")
    found[1] = ["none", *(name for name in found[1] if name != "none")]
    for name in OF_NETWORKS:
        if name in found[1] and found[0] == ["als"]:
            raise InputError(f"{name} is a defence of networks: name sasrec among the victims, too")
    if found[0] != ["als"] or set(found[1]) - {"none", "pca", "limit"}:
        require("torch", "torch")
    return found[0], found[1]
