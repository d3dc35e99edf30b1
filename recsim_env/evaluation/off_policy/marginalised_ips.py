"""Marginalised inverse propensity scoring: weights of what actions have in common, not of actions.

With an embedding e of the action (its category, its genre and price band) that carries all of the action's
effect on the reward, p(r | x, a, e) = p(r | x, e), the weights may be those of the embedding,

    w(x, e) = p(e | x, pi) / p(e | x, pi_0),      p(e | x, pi) = sum_a pi(a | x) p(e | a),

which are never more variable than the weights of actions, and far less for many actions.
"""

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError, as_numbers, refuse
from recsim_env.evaluation.intervals import Estimate, Interval
from recsim_env.evaluation.off_policy.ips import ips
from recsim_env.evaluation.off_policy.rows import (
    check_actions,
    check_distribution,
    check_rows,
    distinct_rows,
)


def marginalised_ips(
    reward: Array,
    embedding: Array,
    target_probability: Array,
    logging_probability: Array,
    table: Array,
    *,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """V = 1/R sum_i w(x_i, e_i) r_i.

    Unbiased where the embedding carries all of the action's effect and the log's policy can show every
    embedding that the other can, even by other actions. What actions of one embedding do differently is a
    bias that the log hides: compare with `ips`.

    Args:
        reward: (R,) finite.
        embedding: (R,) integers in 0 to E - 1, of the action in the row; several features are numbered
            together, `np.ravel_multi_index`.
        target_probability: (R, A), or (A,) if the same in all rows, of the evaluated policy.
        logging_probability: (R, A) or (A,), of the log's policy, all actions.
        table: (A, E) p(e | a), each row summing to 1: known, or `estimate_embedding_table`.
        interval: as of `ips`.
        groups: as of `ips`.

    Raises:
        InputError: as `ips` and `marginal_weights`.

    Source: Saito and Joachims, "Off-policy evaluation for large action spaces via embeddings", ICML 2022.
    """
    (reward,) = check_rows(reward=reward)
    if np.shape(embedding) != reward.shape:
        raise InputError(
            f"embedding must have the shape of reward, {reward.shape}, got {np.shape(embedding)}"
        )
    weight = marginal_weights(embedding, target_probability, logging_probability, table)
    return ips(reward, weight, interval=interval, groups=groups)


def marginal_weights(
    embedding: Array, target_probability: Array, logging_probability: Array, table: Array
) -> Floats:
    """(R,) the weights w(x_i, e_i), for any estimator that takes weights.

    Args: as of `marginalised_ips`.

    Raises:
        InputError: distributions over different actions; an embedding outside the table; one that the
            evaluated policy can show and the log's cannot, naming it; or a row whose embedding the log's
            policy cannot have shown.
    """
    if np.ndim(embedding) != 1:
        raise InputError(f"embedding must have shape (R,), one integer per row, got {np.shape(embedding)}")
    rows = len(np.asarray(embedding))
    target = check_distribution("target_probability", target_probability, rows)
    logging = check_distribution("logging_probability", logging_probability, rows)
    table = as_numbers("table", table)
    if table.ndim != 2 or not len(table) == target.shape[1] == logging.shape[1]:
        raise InputError(
            f"table must have shape (A, E) for the actions of both policies, got {table.shape} for "
            f"{target.shape[1]} actions of target_probability and {logging.shape[1]} of logging_probability"
        )
    table = check_distribution("table", table, len(table))
    embedding = check_actions("embedding", embedding, rows, table.shape[1])
    of_target, of_logging = distinct_rows(target) @ table, distinct_rows(logging) @ table  # (R or 1, E)
    lost = np.flatnonzero(((of_logging == 0) & (of_target > 0)).any(axis=0))
    if len(lost):
        raise InputError(
            f"target_probability has no support in the log: its policy never shows embedding {lost[0]}"
            + (f", nor {len(lost) - 1} others" if len(lost) > 1 else "")
            + "; evaluate a policy without it, or number embeddings more coarsely"
        )
    below = np.broadcast_to(of_logging, (rows, table.shape[1]))[np.arange(rows), embedding]
    refuse("embedding", below == 0, embedding, "by table and logging_probability the log cannot show it")
    above = np.broadcast_to(of_target, (rows, table.shape[1]))[np.arange(rows), embedding]
    return np.asarray(above / below)


def estimate_embedding_table(
    action: Array, embedding: Array, num_actions: int, num_embeddings: int
) -> Floats:
    """(A, E) p(e | a) by counts in the log; an action that the log never shows has a uniform row.

    Args:
        action: (R,) integers in 0 to A - 1.
        embedding: (R,) integers in 0 to E - 1.
        num_actions: A.
        num_embeddings: E.

    Raises:
        InputError: integers out of range, or columns that differ in length.
    """
    rows = np.size(action)
    action = check_actions("action", action, rows, num_actions)
    embedding = check_actions("embedding", embedding, rows, num_embeddings)
    cells = np.bincount(action * num_embeddings + embedding, minlength=num_actions * num_embeddings)
    count = cells.reshape(num_actions, num_embeddings).astype(np.float64)
    total = count.sum(axis=1, keepdims=True)
    return np.where(total > 0, count / np.maximum(total, 1), 1 / num_embeddings)
