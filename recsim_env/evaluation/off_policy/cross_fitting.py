"""A model of the rewards for the direct and the doubly robust estimators, no row judged by what it taught."""

from typing import Any, NamedTuple

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, as_numbers, refuse
from recsim_env.evaluation.intervals import places_of_groups
from recsim_env.evaluation.off_policy.rows import check_actions, check_distribution, check_rows


def draw_folds(rows: int, folds: int = 3, *, seed: int = 0, groups: Array | None = None) -> Ints:
    """(R,) a random fold 0 to folds - 1 for every row, of sizes as equal as can be.

    Args:
        rows: R.
        folds: 2 or more.
        seed: of the draw.
        groups: (R,) whose each row is: the rows of one user stay in one fold, or the model would know the
            user that it is to judge.

    Raises:
        InputError: folds below 2 or above the number of rows or groups, or groups of another shape.
    """
    place, units = np.arange(rows), rows
    if groups is not None:
        place = places_of_groups(groups, rows)
        units = len(np.unique(place))
    what = "rows" if groups is None else "groups"
    if units < 2:
        raise InputError(f"cross-fitting needs two {what}, got {units}: take estimators without a model")
    if isinstance(folds, bool) or not isinstance(folds, int) or not 2 <= folds <= units:
        raise InputError(f"folds must be an integer from 2 to the {units} {what}, got {folds!r}")
    fold_of_unit = np.random.default_rng(seed).permutation(np.arange(units) % folds)
    return fold_of_unit[place].astype(np.int64)


def cross_fit(
    reward: Array,
    action: Array,
    fold: Array,
    num_actions: int,
    *,
    model: Any = None,
    context: Array | None = None,
    action_context: Array | None = None,
    position: Array | None = None,
) -> Floats:
    """(R, A) qhat(x_i, a): the expected reward of every action in the context and position of every row.

    Row i is predicted by a model of the rows in other folds. A slot of its own model per position, as the
    Open Bandit Pipeline has it. Without `model` qhat is the mean reward of the action (and position) in the
    other folds, and their overall mean (at that position) for actions not shown there.

    Args:
        reward: (R,) finite; 0 or 1 if the model is a classifier.
        action: (R,) integers in 0 to A - 1.
        fold: (R,) integers, from `draw_folds` or anywhere.
        num_actions: A.
        model: any scikit-learn regressor, or classifier of rewards 0 and 1; it is cloned, not changed.
        context: (R, D) numbers, the features of x; a model is needed to use them.
        action_context: (A, F) numbers, the features of actions; one-hot actions if None.
        position: (R,) integers, where in the list the action was shown; None = all in one place.

    Raises:
        InputError: columns that differ in length or are not finite, naming column and row; a single fold;
            a position with no rows outside a fold; a context without a model; a classifier for other rewards.
    """
    (reward,) = check_rows(reward=reward)
    rows = len(reward)
    action = check_actions("action", action, rows, num_actions)
    fold = check_actions("fold", fold, rows)
    place = np.zeros(rows, np.int64) if position is None else check_actions("position", position, rows)
    if len(np.unique(fold)) < 2:
        raise InputError("fold must hold two or more different folds: a row must not judge what it taught")
    features = check_features("context", context, rows)
    shown = (
        np.eye(num_actions)
        if action_context is None
        else check_features("action_context", action_context, num_actions)
    )
    if model is None and (context is not None or action_context is not None):
        raise InputError("context and action_context need a model: give a scikit-learn estimator")
    q = np.empty((rows, num_actions))
    for p in np.unique(place):
        for f in np.unique(fold[place == p]):
            train, test = (place == p) & (fold != f), (place == p) & (fold == f)
            if not train.any():
                raise InputError(
                    f"position {p} has rows in fold {f} only: give fewer folds, or merge positions"
                )
            if model is None:
                q[test] = mean_rewards(reward[train], action[train], num_actions)
            else:
                inputs = np.hstack([features[train], shown[action[train]]])
                q[test] = _predictions(model, inputs, reward[train], features[test], shown)
    return q


class ModelValues(NamedTuple):
    """What a model says of the logged action and of the evaluated policy, in every row."""

    logged: Floats  # (R,) qhat(x_i, a_i)
    target: Floats  # (R,) sum_a pi(a | x_i) qhat(x_i, a)


def model_values(q: Array, action: Array, target_probability: Array) -> ModelValues:
    """The two columns that the estimators take.

    Args:
        q: (R, A) from `cross_fit`, or any model.
        action: (R,) integers, what the log shows.
        target_probability: (R, A), or (A,) if the same in all rows, of the evaluated policy.

    Raises:
        InputError: shapes that do not fit, a q that is not finite, or numbers that are no distribution.
    """
    q = as_numbers("q", q)
    if q.ndim != 2 or len(q) == 0:
        raise InputError(f"q must have shape (R, A), got {q.shape}")
    refuse("q", ~np.isfinite(q), q, "it is not finite: mend the model")
    target = check_distribution("target_probability", target_probability, len(q))
    if target.shape != q.shape:
        raise InputError(f"target_probability must have {q.shape[1]} actions as q, got {target.shape[1]}")
    action = check_actions("action", action, len(q), q.shape[1])
    return ModelValues(q[np.arange(len(q)), action], np.einsum("ra,ra->r", target, q))


def check_features(name: str, values: Array | None, rows: int) -> Floats:
    """(rows, D) the features, or (rows, 0) of None.

    Raises:
        InputError: another shape, or a number that is not finite.
    """
    if values is None:
        return np.empty((rows, 0))
    values = as_numbers(name, values)
    if values.ndim != 2 or len(values) != rows:
        raise InputError(f"{name} must have shape ({rows}, D), got {values.shape}")
    refuse(name, ~np.isfinite(values), values, "it is not finite")
    return values


def mean_rewards(reward: Floats, action: Ints, num_actions: int) -> Floats:
    """(A,) the mean reward of each action, the overall mean where it was not shown."""
    count = np.bincount(action, minlength=num_actions)
    total = np.bincount(action, reward, minlength=num_actions)
    return np.where(count > 0, total / np.maximum(count, 1), reward.mean())


def _predictions(model: Any, inputs: Floats, reward: Floats, features: Floats, shown: Floats) -> Floats:
    """(rows of features, A) by a copy of the model that is fitted to inputs and reward."""
    from sklearn.base import clone, is_classifier

    num_actions, rows = len(shown), len(features)
    classifier = is_classifier(model)
    if classifier:
        if not np.isin(reward, (0, 1)).all():
            raise InputError("model is a classifier, and rewards are not all 0 or 1: give a regressor")
        if len(np.unique(reward)) == 1:  # nobody clicked, or all did: nothing to tell apart
            return np.full((rows, num_actions), reward[0])
    fitted = clone(model).fit(inputs, reward)
    predicted = np.empty((rows, num_actions))
    cells = np.hstack([features, np.empty((rows, shown.shape[1]))])
    for a in range(num_actions):
        cells[:, features.shape[1] :] = shown[a]
        predicted[:, a] = fitted.predict_proba(cells)[:, 1] if classifier else fitted.predict(cells)
    return predicted
