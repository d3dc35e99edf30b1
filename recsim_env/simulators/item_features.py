"""Item features out of texts, and catalogues out of data sets that hold them.

Latent semantic indexing (Deerwester et al. 1990, "Indexing by latent semantic analysis"). The terms are the
runs of 3 to 5 letters inside words, for titles are short, abbreviated and rarely share a whole word
(McNamee and Mayfield 2004, "Character n-gram tokenization for European language text retrieval"):

    x_nt = count of t in n * (1 + log((1 + N) / (1 + texts with t))),  rows scaled to unit length
    X ~ L S R',  the D largest singular values S;  features = X R,  rows scaled to unit length

Where there is a model of sentences, `sentence_features` takes its embeddings instead:

    replace(catalogue, features=sentence_features(catalogue.names, "path/of/the/model", 16))

Latent semantic indexing needs the extra `features`: pip install 'recsim-env[features]'.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, require, unknown_name
from recsim_env.simulators.catalogue import Catalogue
from recsim_env.simulators.datasets.columns import floats, integers, read_parquet_columns
from recsim_env.simulators.datasets.interactions import SHIPPED

SHORTEST = 1e-6
"""A row shorter than this share of the longest one is rounding, and becomes zeros."""


class Encoder(Protocol):
    """A model of sentences."""

    def encode(self, sentences: list[str], /) -> Any:
        """(N, E) embeddings."""


def text_features(texts: Sequence[str], dimension: int = 16, *, seed: int = 0) -> Array:
    """Latent semantic indexing: texts that share parts of words lie near to each other.

    Args:
        texts: (N,) upper and lower case are one. Equal texts get equal features.
        dimension: D, at least 1, below the number of texts and the number of different terms in them.
        seed: of the vector from which the singular vectors are iterated; it changes only the rounding.

    Returns:
        (N, D) float32 of unit length; zeros for a text that is empty, or without a term that the D
        components hold. The largest entry of each component over the terms is positive.

    Raises:
        InputError: scikit-learn is not installed; no text has a letter; a dimension out of range.
    """
    require("sklearn", "features")
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    N = len(_checked_texts(texts))
    if not any(text.strip() for text in texts):
        raise InputError(f"texts has {N} texts and all of them are empty: give at least one with a letter")
    terms = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5)).fit_transform(texts)  # (N, T)
    T = terms.shape[1]
    if not 1 <= dimension < min(N, T):
        raise InputError(
            f"dimension must be at least 1 and below the number of texts ({N}) and of different terms in "
            f"them ({T}), got {dimension}"
        )
    # ARPACK, not the randomised method: titles have many singular values of nearly the same size,
    # which few rounds of the latter leave mixed.
    svd = TruncatedSVD(dimension, algorithm="arpack", random_state=seed).fit(terms)
    # beyond the rank of X (few different texts) the components are arbitrary: drop them
    held = svd.singular_values_ > SHORTEST * svd.singular_values_.max()
    components = _with_positive_peaks(svd.components_) * held[:, None]
    return _unit(np.asarray(terms @ components.T), 1.0)  # the rows of X have length 1


def sentence_features(
    texts: Sequence[str], encoder: Encoder | str | Path, dimension: int | None = None
) -> Array:
    """The embeddings of a model of sentences, by wish of D principal components.

    Args:
        texts: (N,).
        encoder: has a method `encode(list of N texts) -> (N, E)`, or is the path of a model that
            `sentence_transformers` wrote; nothing is downloaded.
        dimension: D, the principal components to keep (about the mean; the largest entry of each over
            the embedding is positive), 1 to the smaller of E and N - 1; None keeps the embeddings.

    Returns:
        (N, D or E) float32 of unit length; zeros where the embedding, or its part in the components, is
        zero. What an empty text gets is the encoder's.

    Raises:
        InputError: no such path; sentence_transformers is not installed; embeddings of a wrong shape or
            not finite; a dimension out of range.
    """
    N = len(_checked_texts(texts))
    model = _read_encoder(encoder) if isinstance(encoder, (str, Path)) else encoder
    embeddings = np.asarray(model.encode(list(texts)), np.float64)
    if embeddings.ndim != 2 or len(embeddings) != N or embeddings.shape[1] == 0:
        raise InputError(f"encoder must give one row per text ({N}, E), got shape {embeddings.shape}")
    if not np.isfinite(embeddings).all():
        n, e = np.argwhere(~np.isfinite(embeddings))[0]
        raise InputError(f"encoder gave {embeddings[n, e]} in place ({n}, {e}): they must be finite")
    longest = float(np.linalg.norm(embeddings, axis=1).max())
    if dimension is None:
        return _unit(embeddings, longest)
    E = embeddings.shape[1]
    if not 1 <= dimension <= min(E, N - 1):
        raise InputError(
            f"dimension must be from 1 to the smaller of the encoder's ({E}) and the number of texts less "
            f"one ({N - 1}), got {dimension}"
        )
    centred = embeddings - embeddings.mean(axis=0)
    _, size, components = np.linalg.svd(centred, full_matrices=False)
    held = size[:dimension] > SHORTEST * max(float(size[0]), longest)
    return _unit(centred @ (_with_positive_peaks(components[:dimension]) * held[:, None]).T, longest)


def catalogue_of_items(
    source: str | Path, dimension: int = 16, category: str = "category", text: str = "title"
) -> Catalogue:
    """The items of a data set, sorted by category and within a category by id.

    Features are `text_features` of the texts, names the texts. Categories are the distinct cells of their
    column in increasing order (`category_names`); a cell such as `Comedy|Drama` is one category. Popularity
    is each item's share of the rows of the log (0 for an item without a row), or uniform where there is no
    log. The price is that of the column `price` if there is one, else 1. Quality and group are 0.

    Args:
        source: `complete-journey`, the shipped data set, or a directory that holds `items.parquet` with the
            column `item_id` and those named below, and maybe `interactions.parquet` with `item_id`.
        dimension: D, see `text_features`.
        category: a column of texts or whole numbers.
        text: a column of texts.

    Raises:
        InputError: an unknown name; a missing directory, file or column; a cell that is missing or of the
            wrong kind; an id that stands twice, or in the log but not among the items; no items or no rows;
            and what `text_features` refuses. The message has file, row and column.
    """
    with _paths(source) as (items_path, log_path, item):
        columns = read_parquet_columns(items_path, [item, category, text], ["price"])
        N = len(columns[item])
        if N == 0:
            raise InputError(f"{items_path} has no rows: it must hold one per item")
        ids = integers(columns[item], items_path, item)
        order = np.argsort(ids, kind="stable")
        again = np.flatnonzero(np.diff(ids[order]) == 0)
        if len(again):
            first, second = order[again[0]], order[again[0] + 1]
            raise InputError(
                f"{items_path}, row {second}: {item} = {ids[second]} stands in row {first} already: drop one"
            )
        _, number = _categories(columns[category], items_path, category)
        texts = _cells(columns[text], items_path, text, str, "a text")
        price = np.ones(N)
        if "price" in columns:
            price = floats(columns["price"], items_path, "price")
            if price.min() < 0.0:
                row = int(price.argmin())
                raise InputError(f"{items_path}, row {row}: price = {price[row]} is negative: mend the row")
        popularity = np.full(N, 1.0 / N)
        if log_path.is_file():
            popularity = _shares(log_path, item, ids, order, items_path)
    order = np.lexsort((ids, number))
    names = tuple(texts[n] for n in order.tolist())
    return Catalogue(
        features=text_features(names, dimension),
        category=number[order],
        popularity=popularity[order],
        quality=np.zeros(N),
        price=price[order],
        group=np.zeros(N, np.int64),
        names=names,
    )


def category_names(source: str | Path, category: str = "category") -> tuple[str, ...]:
    """(C,) what the categories of `catalogue_of_items` are called in the data set.

    Raises:
        InputError: an unknown name; a missing directory, file or column; a cell that is missing or neither
            a text nor a whole number.
    """
    with _paths(source) as (items_path, _, _):
        column = read_parquet_columns(items_path, [category])[category]
        return tuple(str(label) for label in _categories(column, items_path, category)[0])


@contextmanager
def _paths(source: str | Path) -> Iterator[tuple[Path, Path, str]]:
    """The files of the items and of the log, and the name of the column of ids."""
    if isinstance(source, str) and source in SHIPPED:
        folder = files("recsim_env.simulators.datasets")
        with ExitStack() as stack:
            log_path, items_path = (stack.enter_context(as_file(folder / name)) for name in SHIPPED[source])
            yield items_path, log_path, "item"
        return
    directory = Path(source)
    if not directory.exists() and len(directory.parts) == 1:
        error = unknown_name("data set", str(source), SHIPPED)
        raise InputError(f"{error}, or give a directory that holds items.parquet")
    if not directory.is_dir():
        raise InputError(
            f"{directory} is not a directory: give one that holds items.parquet, or a shipped name: "
            f"{', '.join(SHIPPED)}"
        )
    yield directory / "items.parquet", directory / "interactions.parquet", "item_id"


def _categories(column: Any, path: Path, name: str) -> tuple[list[str | int], Ints]:
    """The distinct cells in increasing order, and each row's place among them (R,)."""
    if len(column) and isinstance(column[0].as_py(), int):
        cells = _cells(column, path, name, int, "a whole number")
    else:
        cells = _cells(column, path, name, str, "a text or whole number")
    labels = sorted(set(cells))
    place = {label: c for c, label in enumerate(labels)}
    return labels, np.array([place[cell] for cell in cells], np.int64)


def _cells(column: Any, path: Path, name: str, kind: type, wanted: str) -> list[Any]:
    cells = column.to_pylist()
    for row, cell in enumerate(cells):
        if cell is None:
            raise InputError(f"{path}, row {row}: {name} is missing: mend or drop the row")
        if not isinstance(cell, kind) or isinstance(cell, bool):
            raise InputError(f"{path}, row {row}: {name} = {cell!r} is not {wanted}: name another column")
    return list(cells)


def _shares(log_path: Path, item: str, ids: Ints, order: Ints, items_path: Path) -> Floats:
    """(N,) each item's share of the rows of the log; `order` sorts the ids."""
    bought = integers(read_parquet_columns(log_path, [item])[item], log_path, item)
    if len(bought) == 0:
        raise InputError(f"{log_path} has no rows: remove it for a uniform popularity")
    place = order[np.minimum(np.searchsorted(ids[order], bought), len(ids) - 1)]
    unknown = ids[place] != bought
    if unknown.any():
        row = int(unknown.argmax())
        raise InputError(
            f"{log_path}, row {row}: {item} = {bought[row]} is not in {items_path}: add it or drop its rows"
        )
    return np.bincount(place, minlength=len(ids)) / len(bought)


def _read_encoder(path: str | Path) -> Encoder:
    if not Path(path).exists():
        raise InputError(
            f"encoder: {path} does not exist: give the path of a model on this machine (models are not "
            "downloaded), or an object with a method encode"
        )
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise InputError(
            f"sentence_transformers cannot be imported ({error}): pip install sentence-transformers"
        ) from None
    model: Encoder = SentenceTransformer(str(path), local_files_only=True)
    return model


def _checked_texts(texts: Sequence[str]) -> Sequence[str]:
    if isinstance(texts, str) or len(texts) == 0:
        raise InputError(f"texts must be a sequence of one text or more, got {texts!r}")
    for n, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"texts[{n}] = {text!r} is not a text: give '' where there is none")
    return texts


def _with_positive_peaks(components: Floats) -> Floats:
    """(D, T) each row times 1 or -1, so that its entry of the largest size is positive."""
    peak = components[np.arange(len(components)), np.abs(components).argmax(axis=1)]
    return components * np.where(peak < 0.0, -1.0, 1.0)[:, None]


def _unit(rows: Floats, longest: float) -> Array:
    """(N, D) float32 rows of unit length; those shorter than SHORTEST times `longest` are zeros."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    held = length > SHORTEST * longest
    return (np.where(held, rows, 0.0) / np.where(held, length, 1.0)).astype(np.float32)
