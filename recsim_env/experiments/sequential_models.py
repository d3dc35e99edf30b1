"""Sequence encoders by name, and the settings under which they are trained.

One entry of `SETTINGS` = one encoder on one data set; elsewhere the encoder's first settings hold.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from typing import Any

from recsim_env.errors import InputError, unknown_name


@dataclass(frozen=True)
class Training:
    """How an encoder is made and trained; see `NeuralRecommender`, and the encoder for its own."""

    objective: str = "sampled_softmax"
    negatives: int = 256
    dimension: int = 64
    max_length: int = 50
    blocks: int = 2
    dropout: float = 0.4
    learning_rate: float = 1e-3
    batch_size: int = 128
    weight_decay: float = 0.0
    epochs: int = 200
    patience: int = 20


@dataclass(frozen=True)
class Model:
    """An encoder."""

    encoder: Callable[[Any, Training, Any], Any]  # (item vectors, training, generator) -> SequenceEncoder
    training: Training = Training()


Make = Callable[[Any, Training, Any], Any]


def _encoder(module: str, name: str, blocks: str = "blocks", **more: Any) -> Make:
    """An encoder of `agents/sequential/neural`; imported when one is made.

    Args:
        module: its file.
        name: its class.
        blocks: what the class calls its number of blocks; empty = it has none.
        more: arguments that no setting changes.
    """

    def make(items: Any, training: Training, generator: Any) -> Any:
        encoder = getattr(import_module(f"recsim_env.agents.sequential.neural.{module}"), name)
        return encoder(
            items,
            max_length=training.max_length,
            dropout=training.dropout,
            generator=generator,
            **({blocks: training.blocks} if blocks else {}),
            **more,
        )

    return make


def _scored(module: str, name: str, make: Make) -> Make:
    """The same encoder in a class that scores otherwise."""

    def wrapped(items: Any, training: Training, generator: Any) -> Any:
        around = getattr(import_module(f"recsim_env.agents.sequential.neural.{module}"), name)
        return around(make(items, training, generator))

    return wrapped


MODELS: dict[str, Model] = {
    "sasrec": Model(_encoder("sasrec", "SASRec")),
    "gru4rec": Model(_encoder("gru4rec", "GRU4Rec", "layers"), Training(blocks=1)),
    "bert4rec": Model(_encoder("bert4rec", "BERT4Rec"), Training(objective="cloze", patience=60)),
    "hstu": Model(_encoder("hstu", "HSTU")),
    "lru": Model(_encoder("lru", "LRU")),
    "lru_nested": Model(_encoder("lru", "LRU", widths=(8, 16, 32, 64))),
    "state_space": Model(_encoder("state_space", "StateSpace"), Training(blocks=1)),
    "sigma": Model(_encoder("sigma", "SIGMA"), Training(blocks=1, epochs=1000, patience=60)),
    "interval_sasrec": Model(_encoder("interval_sasrec", "IntervalSASRec")),
    "idnp": Model(_encoder("idnp", "IDNP", blocks="")),
    "cosine_sasrec": Model(_scored("cosine", "Cosine", _encoder("sasrec", "SASRec"))),
    "hyperbolic_sasrec": Model(_scored("hyperbolic", "Hyperbolic", _encoder("sasrec", "SASRec"))),
    "hyperbolic_state_space": Model(
        _scored("hyperbolic", "Hyperbolic", _encoder("state_space", "StateSpace")), Training(blocks=1)
    ),
}

SETTINGS: dict[tuple[str, str], Training] = {
    ("sasrec", "amazon-beauty-2014"): Training(blocks=1),
    ("sasrec", "amazon-toys-2014"): Training(blocks=1),
    ("cosine_sasrec", "amazon-beauty-2014"): Training(blocks=1),
    ("cosine_sasrec", "amazon-toys-2014"): Training(blocks=1),
    ("sasrec", "ml-1m-seq"): Training(dropout=0.2, max_length=200),
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


def recommender_of(model: str, training: Training, *, num_items: int, seed: int, mask_history: bool) -> Any:
    """A `NeuralRecommender` that has learned nothing yet.

    Raises:
        InputError: PyTorch is missing.
    """
    from recsim_env.agents.sequential.neural.item_vectors import ItemVectors
    from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender

    make = MODELS[model].encoder
    return NeuralRecommender(
        lambda num_items, generator: make(ItemVectors(num_items, training.dimension), training, generator),
        objective=training.objective,
        negatives=training.negatives,
        learning_rate=training.learning_rate,
        batch_size=training.batch_size,
        weight_decay=training.weight_decay,
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
    recommender = recommender_of(model, training, num_items=2, seed=0, mask_history=True)
    recommender.check()
    import torch

    recommender.encoder(2, torch.Generator())
