"""SASRecs that reason, trained for `reasoning_depth`, and what they make of other users.

Kinds of training: plain, without more losses; progressive and ensemble, ReaRec's; graph_prior, ManCAR's.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.experiments.drifting_users import DriftingUsers
from recsim_env.simulators.log import Log

if TYPE_CHECKING:
    from recsim_env.agents.sequential.neural.encoders.latent_reasoning import LatentReasoning
    from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary

KINDS = ("plain", "progressive", "ensemble", "graph_prior")
LISTED = 10
DIMENSION, BLOCKS, BATCH, DROPOUT = 32, 1, 32, 0.2


def train(
    log: Log,
    kind: str,
    depth: int,
    *,
    num_items: int,
    history: int,
    epochs: int,
    learning_rate: float,
    seed: int,
) -> "LatentReasoning":
    """The best network of a training; of depth 0 a SASRec that is wrapped and left as it is.

    Args:
        log: what is learned from.
        kind: one of `KINDS`.
        depth: R, 0 or more.
        num_items: N.
        history: the longest that is read.
        epochs: at most.
        learning_rate: of Adam.
        seed: of all chance.
    """
    import torch

    from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
    from recsim_env.agents.sequential.neural.encoders.latent_reasoning import LatentReasoning
    from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec
    from recsim_env.agents.sequential.neural.losses.ensemble_reasoning import EnsembleReasoning
    from recsim_env.agents.sequential.neural.losses.graph_prior import GraphPrior
    from recsim_env.agents.sequential.neural.losses.progressive_reasoning import ProgressiveReasoning
    from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender

    losses: dict[str, Callable[[], Sequence[Auxiliary]]] = {
        "plain": tuple,
        "progressive": lambda: [ProgressiveReasoning()],
        "ensemble": lambda: [EnsembleReasoning()],
        "graph_prior": lambda: [GraphPrior()],
    }

    def encoder(num_items: int, generator: torch.Generator) -> LatentReasoning:
        items = ItemVectors(num_items, DIMENSION)
        sasrec = SASRec(items, max_length=history, blocks=BLOCKS, dropout=DROPOUT, generator=generator)
        read_out = "mean" if kind == "ensemble" else "last"
        return LatentReasoning(sasrec, steps=depth, read_out=read_out, generator=generator)

    recommender = NeuralRecommender(
        encoder,
        objective="full_softmax",
        auxiliaries=losses[kind],
        epochs=epochs,
        patience=epochs,
        batch_size=BATCH,
        learning_rate=learning_rate,
        mask_history=False,
        seed=seed,
        device="cpu",
        num_items=num_items,
    )
    found = recommender.fit(log).best_.eval()
    assert isinstance(found, LatentReasoning)
    return found


def measured(network: "LatentReasoning", log: Log, test: DriftingUsers, halt: float) -> dict[str, Array]:
    """What a network makes of users that it did not learn from.

    Args:
        network: of `train`.
        log: what it learned from, whose transitions are the item graph.
        test: B users, whose last item is to be named.
        halt: the threshold of `AdaptiveHalting`.

    Returns:
        NDCG@10 `final` (B,) and `by_step` (R + 1, B), mean `drift` (R + 1,); if it reasons, NDCG@10 `halted`
        (B,), and the `steps` (B,) that it takes.
    """
    import torch

    from recsim_env.agents.sequential.neural.encoders.adaptive_halting import AdaptiveHalting
    from recsim_env.agents.sequential.neural.losses.neighbourhood import Neighbourhood
    from recsim_env.agents.sequential.neural.sequences import Sequences

    history, target = torch.from_numpy(test.taken[:, :-1].copy()), test.taken[:, -1]
    most = test.taken.shape[1]  # items of a user
    near = Neighbourhood(Sequences.of_log(log, network.num_items, most))
    with torch.inference_mode():
        table = network.candidates()
        trajectory = network.trajectory(history, last_alone=True)[:, 0]  # (B, R + 1, D)
        scores = (trajectory @ table.T).numpy()
        log_p = torch.log_softmax(trajectory @ table.T, dim=-1)
        mean = network.read_out == "mean"
        state = trajectory.mean(dim=1) if mean else trajectory[:, -1]
        found = {
            "final": ndcg_of((state @ table.T).numpy(), target),
            "by_step": np.stack([ndcg_of(scores[:, k], target) for k in range(scores.shape[1])]),
            "drift": near.drift(history, log_p).nanmean(dim=0).numpy(),
        }
        if network.steps:
            halted, steps = AdaptiveHalting(network, threshold=halt).halted(history)
            found |= {"halted": ndcg_of((halted @ table.T).numpy(), target), "steps": steps.numpy()}
    return found


def ndcg_of(scores: Array, target: Ints) -> Floats:
    """NDCG@10 (B,) of one item among all, by scores (B, N)."""
    above = (scores > np.take_along_axis(scores, target[:, None], axis=1)).sum(axis=1)
    return np.asarray(np.where(above < LISTED, 1 / np.log2(above + 2.0), 0.0))
