"""Recipes that differ in one part, and what a difference between two of them answers.

    arm                  items of a history       what says the next item, and how it is learned
    written              vectors of codes         a decoder, by cross-entropy over codes that may follow
    written_over_all     the same                 the same; cross-entropy over all V codes of each level
    pointwise, pairwise  the same                 as written, and APAO's loss in one of its forms
    experts              the same                 as written, with experts in place of dense units
    scored               the same                 a state that is held against the vector of every item
    ids                  a vector an item         the same
    features             W x_i + b                the same
    set_scored           mean of a set of tokens  the same
    set_queries          the same                 a query for each token; the sum over them is learned
    set_queries_each     the same                 the same, each alone, and the tokens' autoencoder
    gated                ids and codes, a gate    as written
    gated_aligned        the same                 the same, and H2Rec's alignment of both tables
    by_users             codes of who takes what  as written
    by_users_aligned     the same                 the same, and vectors of codes are held to features

Codes are of balanced residual k-means of features, three levels of 32, where items share an identifier last
codes are given anew; those of `by_users` are of a hierarchy of who takes what, as ColaRec's.
"""

from dataclasses import dataclass, replace
from typing import Any

from recsim_env.agents.generative.recipes.recipe import Recipe

CODES, LEVELS, DIMENSION = 32, 3, 64

K_MEANS: dict[str, Any] = {
    "name": "residual_k_means",
    "level_sizes": [CODES] * LEVELS,
    "balanced": True,
    "collisions": "transport",
}
OF_CODES = {"name": "codes", "dimension": DIMENSION}
OF_IDS = {"name": "ids", "dimension": DIMENSION}
OF_SET = {"name": "set", "dimension": DIMENSION, "parts": 4, "hidden": [128, 128]}

WRITTEN = Recipe(
    "a decoder that writes codes",
    tokeniser=K_MEANS,
    items=OF_CODES,
    encoder={"name": "sasrec", "dropout": 0.1},
    head={"name": "decoder"},
)
SCORED = replace(WRITTEN, tokeniser={"name": "atomic"}, history=K_MEANS, head={"name": "projection"})
IDS = replace(SCORED, history=None, items=OF_IDS)
SET = replace(IDS, items=OF_SET)
QUERIES = replace(SET, head={"name": "set_query"})
GATED = replace(WRITTEN, items={"name": "gated", "first": OF_IDS, "second": OF_CODES})
BY_USERS = replace(
    WRITTEN, tokeniser={"name": "hierarchical", "of": "vectors", "levels": LEVELS, "size": CODES}
)

OVER_ALL = "written_over_all"  # the recipe of `written`, trained by `all_codes.AllCodes`
ARMS: dict[str, Recipe] = {
    "written": WRITTEN,
    OVER_ALL: WRITTEN,
    "pointwise": replace(WRITTEN, losses={"prefix_aware": {"form": "pointwise"}}),
    "pairwise": replace(WRITTEN, losses={"prefix_aware": {"form": "pairwise"}}),
    "experts": replace(WRITTEN, head={"name": "decoder", "experts": 8, "active": 2}),
    "scored": SCORED,
    "ids": IDS,
    "features": replace(IDS, items={"name": "features", "dimension": DIMENSION}),
    "set_scored": SET,
    "set_queries": QUERIES,
    "set_queries_each": replace(QUERIES, losses={"queries": {}}),
    "gated": GATED,
    "gated_aligned": replace(GATED, losses={"branch_alignment": {}}),
    "by_users": BY_USERS,
    "by_users_aligned": replace(BY_USERS, losses={"feature_alignment": {}}),
}


@dataclass(frozen=True)
class Question:
    """Whether an arm does better than another, from which it differs in one part."""

    paper: str  # that says so
    arm: str
    against: str


QUESTIONS = (
    Question("MSCGRec", "written", OVER_ALL),
    Question("APAO", "pointwise", "written"),
    Question("APAO", "pairwise", "written"),
    Question("Lite-LLM4Rec", "scored", "written"),
    Question("RecBench", "features", "ids"),
    Question("RecBench", "scored", "ids"),
    Question("RecBench", "written", "ids"),
    Question("SETRec", "set_queries", "set_scored"),
    Question("SETRec", "set_queries_each", "set_queries"),
    Question("H2Rec", "gated", "written"),
    Question("H2Rec", "gated_aligned", "gated"),
    Question("ColaRec", "by_users", "written"),
    Question("ColaRec", "by_users_aligned", "by_users"),
    Question("OneRec", "experts", "written"),
)
OF_BEAMS = ("MSCGRec", "APAO")  # papers whose questions are about training for a beam search


def questions_of(arms: list[str]) -> list[Question]:
    """Those of which both arms are there."""
    return [question for question in QUESTIONS if question.arm in arms and question.against in arms]
