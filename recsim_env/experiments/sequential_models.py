"""Sequence encoders by name, and the settings under which they are trained.

One entry of `SETTINGS` = one encoder on one data set; elsewhere the encoder's first settings hold.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError, check_ranges, unknown_name
from recsim_env.simulators.item_terms import read_item_features


@dataclass(frozen=True)
class Training:
    """How an encoder is made and trained; see `NeuralRecommender`, and the encoder for its own."""

    objective: str = "sampled_softmax"
    negatives: int = 256
    hidden_share: float = 0.2  # of the items, for cloze
    dimension: int = 64
    max_length: int = 50
    history: str = "last"  # of what is longer than that, or whole
    blocks: int = 2
    dropout: float = 0.4
    temperature: float = 0.07  # of cosines
    item_vectors: str = "id"  # or features, or gated
    features: int = 128  # numbers an item that its attributes and titles are cut to
    learning_rate: float = 1e-3
    batch_size: int = 128
    weight_decay: float = 0.0
    averaging: float = 0.0
    epochs: int = 200
    patience: int = 20


@dataclass(frozen=True)
class Model:
    """An encoder."""

    encoder: Callable[[Any, Training, Any], Any]  # (item vectors, training, generator) -> SequenceEncoder
    training: Training = Training()


Make = Callable[[Any, Training, Any], Any]


def _encoder(module: str, name: str, blocks: str = "blocks", **more: Any) -> Make:
    """An encoder of `agents/sequential/neural/encoders`; imported when one is made.

    Args:
        module: its file.
        name: its class.
        blocks: what the class calls its number of blocks; empty = it has none.
        more: arguments that no setting changes.
    """

    def make(items: Any, training: Training, generator: Any) -> Any:
        encoder = getattr(import_module(f"recsim_env.agents.sequential.neural.encoders.{module}"), name)
        return encoder(
            items,
            max_length=training.max_length,
            dropout=training.dropout,
            generator=generator,
            **({blocks: training.blocks} if blocks else {}),
            **more,
        )

    return make


def _cosine(make: Make) -> Make:
    """The same encoder, scored by cosines."""

    def wrapped(items: Any, training: Training, generator: Any) -> Any:
        from recsim_env.agents.sequential.neural.encoders.cosine import Cosine

        return Cosine(make(items, training, generator), temperature=training.temperature)

    return wrapped


def _hyperbolic(make: Make) -> Make:
    """The same encoder, scored by hyperbolic distances."""

    def wrapped(items: Any, training: Training, generator: Any) -> Any:
        from recsim_env.agents.sequential.neural.encoders.hyperbolic import Hyperbolic

        return Hyperbolic(make(items, training, generator))

    return wrapped


_sasrec = _encoder("sasrec", "SASRec")
_lru = _encoder("lru", "LRU")
_state_space = _encoder("state_space", "StateSpace")


MODELS: dict[str, Model] = {
    "sasrec": Model(_sasrec),
    "gru4rec": Model(_encoder("gru4rec", "GRU4Rec", "layers"), Training(blocks=1)),
    "bert4rec": Model(_encoder("bert4rec", "BERT4Rec"), Training(objective="cloze", patience=60)),
    "hstu": Model(_encoder("hstu", "HSTU")),
    "lru": Model(_lru),
    "lru_nested": Model(_encoder("lru", "LRU", widths=(8, 16, 32, 64))),
    "state_space": Model(_state_space, Training(blocks=1)),
    "sigma": Model(_encoder("sigma", "SIGMA"), Training(blocks=1, epochs=1000, patience=60)),
    "interval_sasrec": Model(_encoder("interval_sasrec", "IntervalSASRec")),
    "idnp": Model(_encoder("idnp", "IDNP", blocks="")),
    "cosine_sasrec": Model(_cosine(_sasrec)),
    "cosine_lru": Model(_cosine(_lru)),
    "cosine_state_space": Model(_cosine(_state_space), Training(blocks=1)),
    "hyperbolic_sasrec": Model(_hyperbolic(_sasrec)),
    "hyperbolic_state_space": Model(_hyperbolic(_state_space), Training(blocks=1)),
}

# by the searches of cosine_sasrec in experiments/results, both of which found this
AMAZON = Training(
    negatives=4096,
    blocks=1,
    dropout=0.4,
    temperature=0.07,
    item_vectors="gated",
    features=256,
    learning_rate=2e-3,
    averaging=0.998,
    epochs=24,
    patience=3,
)
# by the search of sasrec in experiments/results
MOVIELENS = Training(
    negatives=1024,
    dimension=128,
    max_length=50,
    history="whole",
    dropout=0.2,
    learning_rate=2e-3,
    batch_size=96,
    averaging=0.998,
    epochs=20,
    patience=3,
)
SETTINGS: dict[tuple[str, str], Training] = {
    ("sasrec", "amazon-beauty-2014"): Training(blocks=1),
    ("sasrec", "amazon-toys-2014"): Training(blocks=1),
    ("cosine_sasrec", "amazon-beauty-2014"): AMAZON,
    ("cosine_sasrec", "amazon-toys-2014"): AMAZON,
    ("cosine_lru", "amazon-beauty-2014"): AMAZON,
    ("cosine_lru", "amazon-toys-2014"): AMAZON,
    ("sasrec", "ml-1m-seq"): MOVIELENS,
    ("gru4rec", "ml-1m-seq"): replace(MOVIELENS, blocks=1),
    ("state_space", "ml-1m-seq"): replace(MOVIELENS, blocks=1),
    ("bert4rec", "ml-1m-seq"): replace(  # by its own search, also there
        MOVIELENS,
        objective="cloze",
        hidden_share=0.4,
        dropout=0.1,
        learning_rate=1e-3,
        batch_size=64,
        epochs=30,
        patience=4,
    ),
}


def training_of(model: str, data: str, changes: dict[str, Any]) -> Training:
    """The settings of a model on a data set, some of them changed.

    Args:
        model: a key of `MODELS`.
        data: the name of the set.
        changes: field -> value, of its type.
    """
    return replace(SETTINGS.get((model, data), MODELS[model].training), **changes)


def changes_of(parts: list[str]) -> dict[str, Any]:
    """`["dropout=0.2"]` -> {"dropout": 0.2}.

    Raises:
        InputError: no such setting, or a value of another type.
    """
    kinds: dict[str, type] = {name: type(value) for name, value in asdict(Training()).items()}
    found: dict[str, Any] = {}
    for part in parts:
        name, equals, text = part.partition("=")
        if not equals:
            raise InputError(f"--set takes NAME=VALUE, got {part!r}")
        if name not in kinds:
            raise unknown_name("setting of a training", name, kinds)
        try:
            found[name] = kinds[name](text)
        except ValueError:
            raise InputError(
                f"--set {name} takes a {'whole ' if kinds[name] is int else ''}number, got {text!r}"
            ) from None
    return found


def recommender_of(
    model: str,
    training: Training,
    *,
    num_items: int,
    seed: int,
    mask_history: bool,
    features: Floats | None = None,
) -> Any:
    """A `NeuralRecommender` that has learned nothing yet.

    Args:
        model: a key of `MODELS`.
        training: its settings.
        num_items: N.
        seed: of the training.
        mask_history: see `NeuralRecommender`.
        features: (N, F) of the items, see `item_features`; None where `training.item_vectors` is id.

    Raises:
        InputError: PyTorch is missing.
    """
    from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
    from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender

    def encoder(num_items: int, generator: Any) -> Any:
        kind = training.item_vectors
        items = ItemVectors(num_items, training.dimension, features=features, kind=kind)
        return MODELS[model].encoder(items, training, generator)

    return NeuralRecommender(
        encoder,
        objective=training.objective,
        negatives=training.negatives,
        hidden_share=training.hidden_share,
        learning_rate=training.learning_rate,
        batch_size=training.batch_size,
        weight_decay=training.weight_decay,
        averaging=training.averaging,
        history=training.history,
        epochs=training.epochs,
        patience=training.patience,
        mask_history=mask_history,
        seed=seed,
        num_items=num_items,
    )


def check_training(model: str, training: Training) -> None:
    """Refuse settings before anything runs.

    Raises:
        InputError: PyTorch is missing, or a setting is out of range.
    """
    check_ranges({"features": training.features}, {}, {})
    given = None if training.item_vectors == "id" else np.zeros((2, training.features))
    recommender = recommender_of(model, training, num_items=2, seed=0, mask_history=True, features=given)
    recommender.check()
    import torch

    recommender.check_encoder(recommender.encoder(2, torch.Generator()))


def item_features(training: Training, source: str, item_ids: Array) -> Floats | None:
    """(N, F) what is told of the items, see `told_features`; None where the model reads none.

    Args:
        training: of the model that is to read them.
        source: the data set, as in `read_item_features`.
        item_ids: (N,) its items.

    Raises:
        InputError: the data set tells nothing of its items, too little, or by a file that is not Parquet.
    """
    if training.item_vectors == "id":
        return None
    found = told_features(source, item_ids, training.features)
    if found is None:
        raise InputError(
            f"item_vectors = {training.item_vectors} needs attributes or titles of the items, and "
            f"{Path(source).name} has none: take item_vectors = id"
        )
    if found.shape[1] < training.features:
        most = found.shape[1]
        raise InputError(f"features must be at most {most} for {Path(source).name}, got {training.features}")
    return found


def told_features(source: str, item_ids: Array, most: int) -> Floats | None:
    """(N, F) what is told of the items, cut to `most` numbers, or as many as there are; None = nothing is.

    They are U S of the singular values of the weighted attributes and words of titles side by side.

    Args:
        source: the data set, as in `read_item_features`.
        item_ids: (N,) its items.
        most: F, 1 or more.

    Raises:
        InputError: a file that is not Parquet.
    """
    told = read_item_features(source, item_ids)
    if not told:
        return None
    table = sparse.hstack(list(told.values()), format="csr").astype(np.float64)
    start = np.ones(min(table.shape))  # of the iteration, so that it goes the same way every time
    vectors, sizes, _ = svds(table, k=min(most, min(table.shape) - 1), v0=start)
    return np.asarray(vectors * sizes)
