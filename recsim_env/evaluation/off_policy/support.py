"""Whether the log can say anything about a policy: it must show what that policy does."""

import numpy as np

from recsim_env.arrays import Array, Bools, Floats
from recsim_env.errors import InputError, as_numbers
from recsim_env.evaluation.off_policy.rows import check_actions, check_distribution, distinct_rows

NAMED = 10  # actions named in a refusal


def check_support(
    target_probability: Array,
    *,
    action: Array | None = None,
    logging_probability: Array | None = None,
) -> None:
    """Refuse a policy that does what the log's policy never does.

    No weight is large there, and no row shows it: estimates miss these actions in silence. The distribution
    of the log's policy decides, if it is known; else an action lacks support that no row of the log shows.

    Args:
        target_probability: (R, A), or (A,) if the same in all rows, of the evaluated policy.
        action: (R,) what the log shows.
        logging_probability: (R, A) or (A,), of the log's policy; decides row by row, and knows what a short
            log left out by chance.

    Raises:
        InputError: no support, naming the actions and their share of what the policy does; neither `action`
            nor `logging_probability`; or numbers that are no distribution.
    """
    if action is None and logging_probability is None:
        raise InputError("give action, what the log shows, or logging_probability")
    tables = {"target_probability": target_probability, "logging_probability": logging_probability}
    given = [np.atleast_2d(as_numbers(name, table)) for name, table in tables.items() if table is not None]
    rows = max(map(len, given)) if action is None else len(np.atleast_1d(action))
    target = distinct_rows(check_distribution("target_probability", target_probability, rows))
    num_actions = target.shape[1]
    if logging_probability is not None:
        logging = distinct_rows(check_distribution("logging_probability", logging_probability, rows))
        if logging.shape[1] != num_actions:
            raise InputError(
                f"logging_probability must have {num_actions} actions as target_probability, "
                f"got {logging.shape[1]}"
            )
        _refuse_unsupported(target, logging == 0)
    elif action is not None:
        count = np.bincount(check_actions("action", action, rows, num_actions), minlength=num_actions)
        _refuse_unsupported(target, (count == 0)[None])


def _refuse_unsupported(target: Floats, absent: Bools) -> None:
    share = np.where(absent, target, 0).mean(axis=0)
    lost = np.flatnonzero(share)
    if len(lost) == 0:
        return
    named = ", ".join(str(a) for a in lost[np.argsort(-share[lost], kind="stable")][:NAMED])
    more = f" and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
    raise InputError(
        f"target_probability has no support in the log, which never shows action{'s' * (len(lost) > 1)} "
        f"{named}{more}: {share.sum():.2%} of what the evaluated policy does; evaluate a policy without "
        "them, log with one that shows them, or, if chance left them out, give logging_probability"
    )
