"""A log of the same users, times and basket sizes, with the choices of a fitted memory.

Each user goes through their own baskets. For every item of a basket they repeat with probability rho(M), of
the M items that they know before it, as long as there is a known one left that the basket does not hold yet:
one of these, in proportion to s_i^(1/T) p_i^c. Else the item is new: the next one, in the order in which the
log has this user meet new items, and when these are used up, ids that no log row has (with the least p). An
item that entered in this basket is known from the next one on.

How near it comes: slopes of `repeat_curve` of real logs, of simulated ones (seeds 0 to U-1), and of simulated
ones that repeat when the log does (`keep_repeats`). On the clock of visits (`in_visits`), 12 bins:

    log                 real              simulated    repeats kept
    complete-journey    -0.578 +- 0.047   -0.563       -0.555
    online-retail       -0.725 +- 0.022   -0.768       -0.727
    mathoverflow-tags   -0.987 +- 0.029   -0.933       -0.940

and in the time of the log, gaps of 1 to 365 days in 19 bins:

    complete-journey    -0.450 +- 0.054   -0.404       -0.407
    online-retail       -0.289 +- 0.055   -0.158       -0.245

In seconds both shops come back less often after a day than after a week, so that their curves rise before
they fall, which no memory makes, and a slope over all gaps says little of them. On the clock of visits, one
rho for all (g = 0) is 23 % off for complete-journey and 39 % for online-retail: users who know little repeat
too often then, which never washes out. `pytest tests/test_actr_fit.py -m "" -k real -s` prints the first two
columns.
"""

import numpy as np
from numba import njit

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.calibration.actr import ActrFit
from recsim_env.simulators.calibration.actr_likelihood import strengths_before
from recsim_env.simulators.calibration.histories import histories_of
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import Luck


def simulate_repeats(fit: ActrFit, log: Log, luck: Luck, *, keep_repeats: bool = False) -> Log:
    """What the users of a log consume if they have the fitted memory; the rules are at the top of this file.

    Args:
        fit: of this log, or another.
        log: whose users, times, basket sizes (each item counts once) and order of new items are kept.
        luck: of each user, in increasing order of their ids; a user's events are its steps.
        keep_repeats: leave the gate out: an event is a repeat where it is one in the log. What differs
            from the log then is due to which known item is chosen, not to when users repeat.

    Raises:
        InputError: a luck of another number of users; nothing in the log is clicked.
    """
    h = histories_of(log)
    U, R = len(h.user), len(h.item)
    if len(luck) != U:
        raise InputError(f"luck must have one row for each of the {U} users, got {len(luck)}")
    user = h.user_of_event
    begin = h.first_event[h.first_basket]  # (U+1,)
    u = luck.rows(user).at(np.arange(R) - begin[user]).uniform("repeat", (2,))
    met = np.sort(np.unique(np.stack([user, h.item]), axis=1, return_index=True)[1])  # first of each item
    if keep_repeats:  # with a gate of 1: 0 passes it, 1 does not
        u[:, 0] = 0.0
        u[met, 0] = 1.0
    chosen = np.empty(R, np.int64)
    # the first event of item j of a user is row met[first_pair[user] + j]
    first_pair = np.searchsorted(user[met], np.arange(U + 1))
    memory = fit.memory
    choose_items(
        h.first_basket,
        h.time,
        h.first_event,
        first_pair,
        np.log(fit.discovery.relative(h.item_id[met])),
        np.log(fit.discovery.relative(np.full(1, -1))[0]),
        memory.decay,
        memory.temperature,
        fit.popularity_exponent,
        np.ones(R + 1) if keep_repeats else memory.repeat_prob(np.arange(R + 1)),
        np.ascontiguousarray(u),
        chosen,
    )
    of_the_log = chosen < np.diff(first_pair)[user]
    pair = np.where(of_the_log, first_pair[user] + chosen, 0)
    item = np.where(of_the_log, h.item_id[met[pair]], log.slate.max() + 1 + chosen)
    time = np.repeat(h.time, np.diff(h.first_event))
    return Log.from_interactions(h.user[user], item, time)


@njit(cache=True, error_model="numpy")
def choose_items(
    first_basket: Ints,
    time: Floats,
    first_event: Ints,
    first_pair: Ints,
    log_popularity: Floats,
    log_popularity_of_new: float,
    decay: float,
    temperature: float,
    popularity: float,
    repeat_prob: Floats,
    u: Floats,
    chosen: Ints,
) -> None:
    """Write the user's number of every item consumed (R,).

    Given are, beside the baskets, ln p of the items that the log has a user meet, those of user u at
    first_pair[u : u + 2], and that of any other item; repeat_prob (R+1,) by the number of known items;
    u (R, 2) uniforms.
    """
    for user in range(len(first_basket) - 1):
        begin, end = first_basket[user], first_basket[user + 1]
        events = first_event[end] - first_event[begin]
        strength, slope, weight = np.empty(events), np.empty(events), np.empty(events)
        met = 0
        for v in range(begin, end):
            known = met
            strengths_before(begin, v, time, first_event, chosen, decay, known, strength, slope)
            top, left = 0.0, 0
            for i in range(known):
                top = max(top, strength[i])
            of_the_log = first_pair[user + 1] - first_pair[user]
            for i in range(known):
                liked = log_popularity[first_pair[user] + i] if i < of_the_log else log_popularity_of_new
                weight[i] = np.exp(
                    np.log(strength[i] / top) / temperature + popularity * liked
                )  # 0 if forgotten
                left += weight[i] > 0.0
            able = left
            for e in range(first_event[v], first_event[v + 1]):
                if left > 0 and u[e, 0] < repeat_prob[able]:
                    total = weight[:known].sum()
                    taken, mark = -1, u[e, 1] * total
                    for i in range(known):
                        if weight[i] > 0.0:
                            taken = i  # the last one, should rounding leave a rest
                            mark -= weight[i]
                            if mark < 0.0:
                                break
                    weight[taken] = 0.0
                    left -= 1
                    chosen[e] = taken
                else:
                    chosen[e] = met
                    met += 1
