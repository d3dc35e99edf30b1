"""The MovieLens set-up of the paper that introduced cascading RL: `CascadeRec-MovieLens-v0`."""

from pathlib import Path

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.datasets import Ratings, read_ratings
from recsim_env.simulators.worlds.cascade import CascadeWorld


def movielens(
    path: str | Path | None = None,
    num_items: int = 10,
    num_states: int = 20,
    slate_size: int = 3,
    horizon: int = 3,
    rating_scale: float = 5.0,
) -> CascadeWorld:
    """The MovieLens world: a state is a user, an item is a movie, and a loved movie keeps the user there.

    Story:
        The data set-up of the paper's experiments. Nobody walks from one MovieLens user to another; it
        serves to compare with the paper.

    Slate (action):
        `MultiDiscrete([N] + [N+1] * (K-1))`: the first slot holds a movie, index N leaves a later slot
        empty, and a movie shown a second time counts as an empty slot. Every such list is valid.

    Observation:
        `state`, the user whose row of ratings is in force, and `step`, the slates shown so far.

    What the user does:
        Looks down the list and clicks the first movie that attracts, movie a with probability
        q(s,a) = rating / rating_scale. After a click on a movie of 4.5 stars or more (0.9 rating_scale) the
        state stays with probability 0.9 and goes to each other one with 0.1/(S-1); after any other click,
        and after none, the next state is uniform, 1/S.

    Reward:
        1 for a click, 0 for none.

    Episode end:
        After `horizon` slates (truncated). The first state is uniform.

    Regret is measured against:
        The exact optimum over all lists (backward induction with `best_permutation`).

        This set-up hardly separates planning from greed: almost every list is clicked, and where the next
        state is, matters little. Expected clicks in an episode on ml-100k, defaults otherwise:

            N     q         optimal   myopic    random list
            10    as is     2.99494   2.99494   2.93038
            25    as is     2.99950   2.99940   2.94918
            10    times 0.2 1.37045   1.36999   1.13907
            25    times 0.2 1.43845   1.43824   1.17845

        printed, with the directory of ml-100k, by

            python -m recsim_env.simulators.worlds.reference_values movielens ml-100k

        Use `CascadeRec-v0` where a planner should show what it is worth.

    Parameters (default, range, source):
        path: directory of a MovieLens data set as published (ml-100k, ml-1m, ml-latest, ml-25m, ...), or
            one with an `interactions.parquet` with `user_id`, `item_id` and `rating`. Never shipped: the
            terms of GroupLens forbid it.
        num_items: N (10, from 1; the paper has 10, 15, 20, 25), the movies with most ratings.
        num_states: S (20, from 1; the paper's), the users with most ratings.
        slate_size: K (3, 1 to N; the paper's).
        horizon: H (3, from 1; the paper's).
        rating_scale: largest possible rating (5).

    Known simplifications:
        The paper's text of the construction was not at hand; this is how it is remembered. What it gives
        a pair without a rating is not known to us: here it is the movie's mean rating over all users of
        the data set. (With 0 instead, random lists fall to 2.792 for N = 10 on ml-100k and the optimum to
        2.99337.) The paper used MovieLens-25M, so its values differ from those above.

    Version history:
        v0: first version.

    Raises:
        InputError: no path, no ratings there, a rating out of scale, or more states or items than there are.

    Source: Du, Srikant, Chen, "Cascading Reinforcement Learning", ICLR 2024, experiments.
    """
    if path is None:
        raise InputError(
            "path must be the directory of a MovieLens data set, which may not be shipped: get one from "
            "https://grouplens.org/datasets/movielens/, unzip it, and pass path='ml-latest-small'"
        )
    ratings = read_ratings(path)
    wrong = ~((ratings.rating >= 0) & (ratings.rating <= rating_scale))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"ratings must be from 0 to rating_scale = {rating_scale:g}, got {ratings.rating[row]:g} "
            f"(rating {row} of {path}, from 0): pass a larger rating_scale"
        )
    stars, items = _most_rated(ratings, num_states, num_items)
    S, N = stars.shape
    transition = np.full((S, N + 1, S), 1.0 / S)
    if S > 1:
        s, a = np.nonzero(stars >= 0.9 * rating_scale)  # 4.5 of 5 stars
        transition[s, a] = 0.1 / (S - 1)
        transition[s, a, s] = 0.9
    names = ratings.item_names
    return CascadeWorld(
        attraction=stars / rating_scale,
        transition=transition,
        reward=np.ones((S, N)),
        slate_size=slate_size,
        horizon=horizon,
        item_names=None if names is None else tuple(names[item] for item in items.tolist()),
    )


def _most_rated(ratings: Ratings, num_states: int, num_items: int) -> tuple[Floats, Ints]:
    """Stars (S, N) of the users and movies with most ratings (ties: lower id), and these movies (N,)."""
    for name, wanted, there in (
        ("num_states", num_states, len(ratings.user_ids)),
        ("num_items", num_items, len(ratings.item_ids)),
    ):
        if not 1 <= wanted <= there:
            raise InputError(f"{name} must be from 1 to {there}, as many as the data set has, got {wanted}")
    users = np.argsort(-np.bincount(ratings.user), kind="stable")[:num_states]
    counts = np.bincount(ratings.item)
    items = np.argsort(-counts, kind="stable")[:num_items]
    mean = np.bincount(ratings.item, ratings.rating) / counts
    stars = np.tile(mean[items], (num_states, 1))
    row = np.full(len(ratings.user_ids), -1)
    row[users] = np.arange(num_states)
    column = np.full(len(ratings.item_ids), -1)
    column[items] = np.arange(num_items)
    s, a = row[ratings.user], column[ratings.item]
    inside = (s >= 0) & (a >= 0)
    stars[s[inside], a[inside]] = ratings.rating[inside]  # of a pair rated twice, the last
    return stars, items
