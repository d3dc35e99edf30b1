"""Nothing bad yields a number: every array of every off-policy function, damaged in every way, is refused.

Each function is called with sound arrays once, and then again and again with one of them damaged. What is
damaged is the last cell, so that a check of the first row alone does not pass.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.tree import DecisionTreeRegressor

from recsim_env.arrays import Array
from recsim_env.errors import InputError
from recsim_env.evaluation import off_policy as op

R, A, K, N, E, H, D = 6, 3, 2, 4, 6, 2, 4
RNG = np.random.default_rng(0)
REWARD, WEIGHT, Q = RNG.random(R), RNG.random(R) + 0.5, RNG.random((R, A))
ACTION, FOLD = np.array([0, 1, 2, 0, 1, 2]), np.array([0, 0, 0, 1, 1, 1])
PROBABILITY = np.array([[0.5, 0.25, 0.25]] * R)
TABLE = np.array([[1.0, 0.0], [0.5, 0.5], [0.25, 0.75]])
SLATE = np.array([[0, 1], [1, 2], [2, 3], [3, 0], [0, 2], [1, 3]])
SLOTS, LOGITS = RNG.random((R, K)), RNG.normal(size=(R, N))
LOG_PROB = np.log(RNG.random((R, K)))
MARGINAL = op.plackett_luce_marginals(LOGITS, K)
SLOT_PROB = op.plackett_luce_slot_prob(LOGITS, SLATE)
PAIRS = op.plackett_luce_pair_marginals(LOGITS, K)
ONE_HOT = np.eye(D)[RNG.integers(0, D, (E, H))]
EVERY = np.eye(D)[np.arange(E * H).reshape(E, H) % D]
STATE, STEP_ACTION = np.arange(E * H).reshape(E, H) % 2, np.arange(E * H).reshape(E, H) // 2 % 2

ROWS = {"reward": REWARD, "weight": WEIGHT}
MODEL = {**ROWS, "q_logged": Q[:, 0], "q_target": Q[:, 1]}
SLOT_ROWS = {"slot_reward": SLOTS, "slot_weight": SLOTS}
STEPS = {"reward": SLOTS, "weight": SLOTS, "present": np.ones((E, H), np.bool_)}

CALLS: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (op.importance_weights, {"log_target": LOG_PROB, "log_logging": LOG_PROB}),
    (op.weights_from_probabilities, {"target_probability": SLOTS, "propensity": SLOTS}),
    (op.diagnose, {"weight": WEIGHT}),
    (op.candidate_cuts, {"weight": WEIGHT}),
    (op.ips, {**ROWS, "groups": ACTION}),
    (op.snips, {**ROWS, "groups": ACTION}),
    (op.clipped_ips, {**ROWS, "clip": 1.0, "groups": ACTION}),
    (op.direct_method, {"q_target": REWARD, "residual": REWARD, "groups": ACTION}),
    (op.doubly_robust, {**MODEL, "groups": ACTION}),
    (op.self_normalised_doubly_robust, {**MODEL, "groups": ACTION}),
    (op.switch_doubly_robust, {**MODEL, "threshold": 1.0}),
    (op.switch, {**ROWS, "q_logged": REWARD, "q_above": REWARD, "threshold": 1.0}),
    (op.doubly_robust_optimistic_shrinkage, {**MODEL, "shrinkage": 1.0}),
    (op.replay, {"reward": REWARD, "action": ACTION, "target_action": ACTION, "propensity": WEIGHT / 2}),
    (op.check_support, {"target_probability": PROBABILITY, "action": ACTION}),
    (op.check_support, {"target_probability": PROBABILITY, "logging_probability": PROBABILITY}),
    (
        op.marginalised_ips,
        {
            "reward": REWARD,
            "embedding": ACTION % 2,
            "target_probability": PROBABILITY,
            "logging_probability": PROBABILITY,
            "table": TABLE,
        },
    ),
    (
        op.estimate_embedding_table,
        {"action": ACTION, "embedding": ACTION % 2, "num_actions": A, "num_embeddings": 2},
    ),
    (op.draw_folds, {"rows": R, "folds": 2, "groups": ACTION}),
    (
        op.cross_fit,
        {
            "reward": REWARD,
            "action": ACTION,
            "fold": FOLD,
            "num_actions": A,
            "position": ACTION % 1,
            "context": SLOTS,
            "action_context": TABLE,
            "model": DecisionTreeRegressor(),
        },
    ),
    (op.model_values, {"q": Q, "action": ACTION, "target_probability": PROBABILITY}),
    (op.slate_weights, {"slot_log_target": LOG_PROB, "slot_log_logging": LOG_PROB, "slate": SLATE}),
    (op.prefix_weights, {"slot_log_target": LOG_PROB, "slot_log_logging": LOG_PROB, "slate": SLATE}),
    (op.position_weights, {"target_marginal": MARGINAL, "logging_marginal": MARGINAL, "slate": SLATE}),
    (op.slot_diagnostics, {"slot_weight": SLOTS}),
    (op.sips, {"reward": SLOTS, "slate_weight": WEIGHT, "groups": ACTION}),
    (op.snsips, {"reward": REWARD, "slate_weight": WEIGHT, "groups": ACTION}),
    *(
        (f, {**SLOT_ROWS, "groups": ACTION})
        for f in (op.iips, op.sniips, op.rips, op.snrips, op.aips, op.snaips)
    ),
    (
        op.cascade_dr,
        {"slot_reward": SLOTS, "prefix_weight": SLOTS, "q_logged": SLOTS, "q_expected": SLOTS},
    ),
    (op.q_of_log, {"q": SLOT_PROB, "slot_target": SLOT_PROB, "slate": SLATE}),
    (
        op.fit_cascade_q,
        {
            "slate": SLATE,
            "slot_reward": SLOTS,
            "slot_target": SLOT_PROB,
            "regressor": DecisionTreeRegressor(),
            "context": SLOTS,
        },
    ),
    (
        op.choose_behavior,
        {"slot_reward": SLOTS, "slot_weights": np.stack([SLOTS, SLOTS]), "context_group": FOLD},
    ),
    (op.pseudo_inverse, {"reward": REWARD, "weight": WEIGHT - 1, "groups": ACTION}),
    (op.sn_pseudo_inverse, {"reward": SLOTS, "weight": WEIGHT, "groups": ACTION}),
    (op.pseudo_inverse_weights, {"slate": SLATE, "target_marginal": MARGINAL, "logging_pairs": PAIRS}),
    (op.uniform_pseudo_inverse_weights, {"slate": SLATE, "target_marginal": MARGINAL}),
    (op.plackett_luce_marginals, {"logits": LOGITS, "slate_size": K}),
    (op.plackett_luce_marginals_sampled, {"logits": LOGITS, "slate_size": K, "samples": 2}),
    (op.plackett_luce_pair_marginals, {"logits": LOGITS, "slate_size": K}),
    (op.plackett_luce_slot_prob, {"logits": LOGITS, "slate": SLATE}),
    (
        op.plackett_luce_log_joint,
        {"logits": LOGITS, "slate": SLATE, "relevant": np.ones((R, K, K), np.bool_)},
    ),
    (op.cumulative_weights, {"weight": SLOTS, "present": np.ones((E, H), np.bool_)}),
    (op.diagnose_steps, {"rho": SLOTS}),
    *(
        (f, {**STEPS, "groups": ACTION})
        for f in (
            op.trajectory_ips,
            op.weighted_trajectory_ips,
            op.per_decision_ips,
            op.weighted_per_decision_ips,
        )
    ),
    *(
        (f, {**STEPS, "q": SLOTS, "value": SLOTS, "groups": ACTION})
        for f in (op.sequential_doubly_robust, op.weighted_doubly_robust)
    ),
    (
        op.fqe_tabular,
        {
            "state": STATE,
            "action": STEP_ACTION,
            "reward": SLOTS,
            "next_state": STATE,
            "target": np.full((2, 2), 0.5),
            "groups": ACTION,
        },
    ),
    (
        op.fqe_linear,
        {
            "features": EVERY,
            "reward": SLOTS,
            "next_features": ONE_HOT,
            "start_features": ONE_HOT[:, 0],
            "groups": ACTION,
        },
    ),
]

# damage that is no damage: rows that stand for themselves, one behaviour less, and slates of one slot
SOUND = {
    ("plackett_luce_marginals", "logits", "short"),
    ("plackett_luce_marginals_sampled", "logits", "short"),
    ("plackett_luce_pair_marginals", "logits", "short"),
    ("choose_behavior", "slot_weights", "short"),
    ("candidate_cuts", "weight", "short"),
    ("diagnose", "weight", "short"),
    ("slot_diagnostics", "slot_weight", "short"),
    ("diagnose_steps", "rho", "short"),
    ("snsips", "reward", "deep"),
    ("pseudo_inverse", "reward", "deep"),
}


def damaged(name: str, good: Array) -> Iterator[tuple[str, Any]]:
    """What somebody may give in place of a sound array."""
    last = tuple(size - 1 for size in good.shape)
    yield "short", good[:-1]
    yield "empty", good[:0]
    yield "deep", good[..., None]
    yield "one number", good.ravel()[0]
    if name == "groups":  # any names will do
        yield "unknown", np.where(np.arange(len(good)) == len(good) - 1, np.nan, good)
        return
    yield "text", good.astype(str)
    yield "nothing", np.full(good.shape, None)
    yield "complex", good.astype(np.complex128) * 1j
    if good.dtype.kind == "f":
        yield "ragged", [[1], [1, 2]]
        for label, number in (("nan", np.nan), ("inf", np.inf)):
            bad = good.copy()
            bad[last] = number
            yield label, bad
    elif good.dtype.kind == "i":
        yield "fractions", good + 0.5
        for label, number in (("negative", -7), ("large", 10**9)):
            bad = good.copy()
            bad[last] = number
            yield label, bad


# integers without an upper end: any number names a fold, a position, a group of contexts or an action
OPEN = {("cross_fit", "fold"), ("cross_fit", "position"), ("replay", "action"), ("replay", "target_action")}
ANY_INTEGER = {("choose_behavior", "context_group")}
EMPTY_SLOTS = {("slate_weights", "slate"), ("prefix_weights", "slate")}  # all they look at: is it below 0


@pytest.mark.parametrize(
    ("function", "good"), CALLS, ids=[f"{i}-{call[0].__name__}" for i, call in enumerate(CALLS)]
)
def test_every_damaged_array_is_refused(function: Callable[..., Any], good: dict[str, Any]) -> None:
    function(**good)
    for name, array in good.items():
        if not isinstance(array, np.ndarray):
            continue
        for label, bad in damaged(name, array):
            where = (function.__name__, name)
            if (*where, label) in SOUND or (where in OPEN and label == "large"):
                continue
            if where in ANY_INTEGER and label in ("large", "negative"):
                continue
            if where in EMPTY_SLOTS and label in ("large", "negative", "fractions"):
                continue
            with pytest.raises(InputError) as caught:
                function(**{**good, name: bad})
            assert "\n" not in str(caught.value)
            if label in ("nan", "inf", "negative", "large"):  # the cell is named
                assert re.search(r"\[[-\d, ]+\]|sums? |row \d|group|step \d|no other", str(caught.value)), (
                    where,
                    label,
                    str(caught.value),
                )


def test_every_function_with_arrays_is_here() -> None:
    tested = {function.__name__ for function, _ in CALLS}
    others = {
        "ModelValues", "PolicySelection", "StepDiagnostics", "WeightDiagnostics",  # what comes back
        "slope", "believable_slope", "policy_selection", "relevant_slots",  # take no arrays
        "marginal_weights",  # through marginalised_ips
        "fqe_torch",  # in test_sequence_off_policy, where torch is
    }  # fmt: skip
    assert tested | others == set(op.__all__)
