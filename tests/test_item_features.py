"""Features of texts against a dense SVD and PCA of NumPy; catalogues of data sets against their tables."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsim_env.errors import InputError
from recsim_env.simulators.datasets.interactions import read_interactions
from recsim_env.simulators.item_features import (
    catalogue_of_items,
    category_names,
    sentence_features,
    text_features,
)

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"
TEXTS = ["red wine", "white wine", "wine glass", "brown bread", "White bread", "bread knife", "blue cheese"]


class LetterCounts:
    """An encoder: how often each letter stands in the text."""

    def encode(self, sentences):
        return np.array([[text.lower().count(chr(97 + e)) for e in range(26)] for text in sentences], float)


def write(path, **columns):
    pq.write_table(pa.table(columns), path)


@pytest.fixture
def shop(tmp_path):
    write(
        tmp_path / "items.parquet",
        item_id=[40, 10, 30, 20, 50],
        title=["rye bread", "red wine", "white wine", "white bread", "wine vinegar"],
        category=["bread", "wine", "wine", "bread", "vinegar"],
        price=[2.0, 9.0, 8.0, 1.5, 3.0],
    )
    return tmp_path


def dense_features(texts, dimension):
    """The equations of the module's docstring, letter by letter."""
    counts = []
    for text in texts:
        grams = {}
        for word in text.lower().split():
            padded = f" {word} "
            for n in (3, 4, 5):
                if len(padded) < n:  # a word shorter than the run counts once
                    break
                for begin in range(len(padded) - n + 1):
                    gram = padded[begin : begin + n]
                    grams[gram] = grams.get(gram, 0) + 1
        counts.append(grams)
    terms = sorted({gram for grams in counts for gram in grams})
    X = np.array([[grams.get(term, 0) for term in terms] for grams in counts], float)
    X *= 1.0 + np.log((1.0 + len(texts)) / (1.0 + (X > 0).sum(axis=0)))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    right = np.linalg.svd(X, full_matrices=False)[2][:dimension]
    right *= np.sign([row[np.abs(row).argmax()] for row in right])[:, None]
    features = X @ right.T
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return np.where(length > 1e-9, features / np.maximum(length, 1e-9), 0.0)


@pytest.mark.parametrize("dimension", [1, 3, 6])
def test_text_features_are_those_of_a_dense_svd(dimension):
    features = text_features(TEXTS, dimension)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, dense_features(TEXTS, dimension), atol=1e-5)


def test_the_seed_changes_only_the_rounding():
    np.testing.assert_array_equal(text_features(TEXTS, 4), text_features(TEXTS, 4))
    np.testing.assert_allclose(text_features(TEXTS, 4), text_features(TEXTS, 4, seed=7), atol=1e-5)


def test_empty_texts_get_zeros_and_the_others_unit_length():
    features = text_features([*TEXTS, "", "  "], 3)
    np.testing.assert_array_equal(features[-2:], 0.0)
    np.testing.assert_allclose(np.linalg.norm(features[:-2], axis=1), 1.0, atol=1e-6)


def test_a_text_outside_the_components_gets_zeros_not_scaled_rounding():
    features = text_features([*TEXTS, *TEXTS, "zzz"], 2)
    np.testing.assert_array_equal(features[-1], 0.0)


def test_duplicate_texts_get_equal_features_also_beyond_the_rank():
    features = text_features(["red wine", "rye bread", "RED WINE", "rye bread", "red wine"], 4)
    np.testing.assert_allclose(features[0], features[2], atol=1e-6)
    np.testing.assert_allclose(features[0], features[4], atol=1e-6)
    np.testing.assert_allclose(features[1], features[3], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1.0, atol=1e-6)
    assert (np.abs(features).max(axis=0) > 0.0).sum() == 2  # two different texts: rank 2


@pytest.mark.parametrize(
    ("texts", "dimension", "message"),
    [
        (TEXTS, 0, r"below the number of texts \(7\) and of different terms in them \(\d+\), got 0"),
        (TEXTS, 7, r"below the number of texts \(7\)"),
        (["a", "b", "a", "b", "a"], 2, r"different terms in them \(2\), got 2"),
        (["", " "], 1, "all of them are empty"),
        ([], 1, "sequence of one text or more"),
        ("wine", 1, "sequence of one text or more"),
        (["wine", None, "bread"], 1, r"texts\[1\] = None is not a text"),
    ],
)
def test_text_features_refuse_what_has_no_such_features(texts, dimension, message):
    with pytest.raises(InputError, match=message):
        text_features(texts, dimension)


def test_without_scikit_learn_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(InputError, match=r"pip install 'recsim-env\[features\]'"):
        text_features(TEXTS, 2)


def test_importing_the_module_does_not_import_scikit_learn():
    code = (
        "import sys, recsim_env.simulators.item_features as m; "
        "assert not {'sklearn', 'sentence_transformers', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_sentence_features_are_the_embeddings_at_unit_length():
    raw = LetterCounts().encode(TEXTS)
    features = sentence_features(TEXTS, LetterCounts())
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, raw / np.linalg.norm(raw, axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_array_equal(sentence_features(["", "wine"], LetterCounts())[0], 0.0)


def test_sentence_features_of_some_dimension_are_principal_components():
    raw = LetterCounts().encode(TEXTS)
    centred = raw - raw.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)  # increasing
    top = vectors[:, np.argsort(values)[::-1][:3]].T
    top *= np.sign([row[np.abs(row).argmax()] for row in top])[:, None]
    scores = centred @ top.T
    features = sentence_features(TEXTS, LetterCounts(), 3)
    np.testing.assert_allclose(features, scores / np.linalg.norm(scores, axis=1, keepdims=True), atol=1e-5)


def test_equal_embeddings_have_no_components():
    np.testing.assert_array_equal(sentence_features(["wine"] * 4, LetterCounts(), 2), 0.0)


def test_sentence_features_refuse_bad_encoders(tmp_path, monkeypatch):
    class Constant:
        def __init__(self, value):
            self.value = value

        def encode(self, sentences):
            return self.value

    with pytest.raises(InputError, match=r"one row per text \(7, E\), got shape \(3, 2\)"):
        sentence_features(TEXTS, Constant(np.zeros((3, 2))))
    bad = np.zeros((7, 2))
    bad[4, 1] = np.nan
    with pytest.raises(InputError, match=r"nan in place \(4, 1\)"):
        sentence_features(TEXTS, Constant(bad))
    for dimension in (0, 7):
        with pytest.raises(InputError, match=rf"encoder's \(26\).*\(6\), got {dimension}"):
            sentence_features(TEXTS, LetterCounts(), dimension)
    with pytest.raises(InputError, match=r"absent does not exist.*not downloaded"):
        sentence_features(TEXTS, tmp_path / "absent")
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(InputError, match="pip install sentence-transformers"):
        sentence_features(TEXTS, str(tmp_path))


def test_a_path_is_read_by_sentence_transformers_without_a_download(tmp_path, monkeypatch):
    class Module:
        @staticmethod
        def SentenceTransformer(path, *, local_files_only):  # noqa: N802 (the library's name)
            assert (path, local_files_only) == (str(tmp_path), True)
            return LetterCounts()

    monkeypatch.setitem(sys.modules, "sentence_transformers", Module)
    np.testing.assert_array_equal(
        sentence_features(TEXTS, tmp_path), sentence_features(TEXTS, LetterCounts())
    )


def test_a_catalogue_is_its_table_sorted_by_category_and_id(shop):
    catalogue = catalogue_of_items(shop, 3)
    assert catalogue.names == ("white bread", "rye bread", "wine vinegar", "red wine", "white wine")
    np.testing.assert_array_equal(catalogue.category, [0, 0, 1, 2, 2])
    assert category_names(shop) == ("bread", "vinegar", "wine")
    np.testing.assert_array_equal(catalogue.price, [1.5, 2.0, 3.0, 9.0, 8.0])
    np.testing.assert_allclose(catalogue.popularity, 0.2)
    np.testing.assert_array_equal(catalogue.quality, 0.0)
    np.testing.assert_array_equal(catalogue.group, 0)
    np.testing.assert_array_equal(catalogue.features, text_features(catalogue.names, 3))
    other = replace(catalogue, features=sentence_features(catalogue.names, LetterCounts(), 2))
    assert other.dimension == 2


def test_popularity_is_the_share_of_the_logs_rows(shop):
    write(shop / "interactions.parquet", user_id=[1, 1, 2, 2], item_id=[30, 30, 10, 40])
    np.testing.assert_allclose(catalogue_of_items(shop, 3).popularity, [0.0, 0.25, 0.0, 0.25, 0.5])


def test_numbered_categories_keep_the_order_of_numbers_and_prices_are_1_without_a_column(tmp_path):
    write(
        tmp_path / "items.parquet",
        item_id=[0, 1, 2],
        name=["red wine", "rye bread", "wine"],
        shelf=[10, 9, 10],
    )
    catalogue = catalogue_of_items(str(tmp_path), 2, category="shelf", text="name")
    assert category_names(tmp_path, "shelf") == ("9", "10")
    assert catalogue.names == ("rye bread", "red wine", "wine")
    np.testing.assert_array_equal(catalogue.price, 1.0)


def test_items_without_a_text_are_kept_with_zeros(shop):
    write(
        shop / "items.parquet",
        item_id=[0, 1, 2, 3],
        title=["red wine", "", "wine", "bread"],
        category=["a"] * 4,
    )
    catalogue = catalogue_of_items(shop, 2)
    np.testing.assert_array_equal(catalogue.features[1], 0.0)
    assert catalogue.item_name(1) == ""


TABLE = {"item_id": [1, 2, 3], "title": ["red wine", "wine", "bread"], "category": ["a", "a", "b"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"category": None}, r"items.parquet has no column 'category': its columns are item_id, title"),
        ({"title": None}, r"items.parquet has no column 'title'"),
        ({"item_id": None}, r"items.parquet has no column 'item_id'"),
        ({"item_id": [1, 2, 1]}, r"items.parquet, row 2: item_id = 1 stands in row 0 already"),
        ({"item_id": [1, 2, 2.5]}, r"items.parquet, row 2: item_id = 2.5 is not a whole number"),
        ({"category": ["a", None, "b"]}, r"items.parquet, row 1: category is missing"),
        ({"category": [None, 1, 2]}, r"items.parquet, row 0: category is missing"),
        ({"category": [1.5, 1.0, 2.0]}, r"row 0: category = 1.5 is not a text or whole number"),
        ({"category": [["a"], ["b"], []]}, r"row 0: category = \['a'\] is not a text or whole number"),
        ({"title": ["red wine", None, "bread"]}, r"items.parquet, row 1: title is missing"),
        ({"title": [1, 2, 3]}, r"items.parquet, row 0: title = 1 is not a text: name another column"),
        ({"price": [1.0, -2.0, 1.0]}, r"items.parquet, row 1: price = -2.0 is negative"),
        ({"price": [1.0, None, 1.0]}, r"items.parquet, row 1: price is missing"),
        (
            {
                "item_id": pa.array([], pa.int64()),
                "title": pa.array([], pa.string()),
                "category": pa.array([], pa.string()),
            },
            "items.parquet has no rows",
        ),
    ],
)
def test_a_table_that_is_no_catalogue_is_refused_with_file_row_and_column(tmp_path, change, message):
    columns = {name: column for name, column in (TABLE | change).items() if column is not None}
    write(tmp_path / "items.parquet", **columns)
    with pytest.raises(InputError, match=message):
        catalogue_of_items(tmp_path, 2)


def test_a_log_of_other_items_or_none_is_refused(shop):
    write(shop / "interactions.parquet", item_id=[30, 11])
    with pytest.raises(InputError, match=r"interactions.parquet, row 1: item_id = 11 is not in .*items.parq"):
        catalogue_of_items(shop, 3)
    write(shop / "interactions.parquet", item_id=[60])
    with pytest.raises(InputError, match=r"row 0: item_id = 60 is not in"):
        catalogue_of_items(shop, 3)
    write(shop / "interactions.parquet", item_id=pa.array([], pa.int64()))
    with pytest.raises(InputError, match=r"interactions.parquet has no rows"):
        catalogue_of_items(shop, 3)


def test_unknown_sources_are_refused(tmp_path):
    with pytest.raises(InputError, match="did you mean complete-journey"):
        catalogue_of_items("complete-jurney")
    with pytest.raises(InputError, match="is not a directory"):
        category_names(tmp_path / "absent")
    with pytest.raises(InputError, match=r"items.parquet does not exist"):
        catalogue_of_items(tmp_path)


def mean_cosines(catalogue):
    """Of pairs of different items: of one category, of two."""
    cosine = catalogue.features @ catalogue.features.T
    same = catalogue.category[:, None] == catalogue.category
    other = ~np.eye(catalogue.num_items, dtype=bool)
    return cosine[same & other].mean(), cosine[~same].mean()


def test_the_shipped_items_lie_near_those_of_their_category():
    catalogue = catalogue_of_items("complete-journey")
    names = category_names("complete-journey")
    assert catalogue.features.shape == (1317, 16)
    assert len(names) == catalogue.num_categories == 260
    assert (np.diff(catalogue.category) >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(catalogue.features, axis=1), 1.0, atol=1e-6)
    near, far = mean_cosines(catalogue)
    assert near > far + 0.2
    # another reader of the same files: titles are distinct per item there
    shipped = read_interactions("complete-journey")
    counts = np.bincount(shipped.log.slate[:, 0], minlength=1317)
    share = dict(zip(shipped.item_names, counts / counts.sum(), strict=True))
    assert len(share) == 1317
    np.testing.assert_allclose(catalogue.popularity, [share[name] for name in catalogue.names])
    milk = catalogue.names.index("FLUID MILK WHITE ONLY")
    assert names[catalogue.category[milk]] == "FLUID MILK PRODUCTS"


@pytest.mark.parametrize(
    ("name", "category", "margin"),
    [("ml-100k", "categories", 0.0), ("amazon-office-2014-titles", "categories", 0.1)],
)
def test_real_items_lie_near_those_of_their_category(name, category, margin):
    if not (REAL / name).is_dir():
        pytest.skip(f"the data set {name} is not on this machine")
    catalogue = catalogue_of_items(REAL / name, 16, category)
    assert len(category_names(REAL / name, category)) == catalogue.num_categories
    length = np.linalg.norm(catalogue.features, axis=1)
    np.testing.assert_allclose(length, [float(name != "") for name in catalogue.names], atol=1e-6)
    near, far = mean_cosines(catalogue)
    assert near > far + margin
