# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 9. Off-policy evaluation
#
# **Can a log say what another policy would have earned?**
#
# Your shop has shown items for a year by one policy, and wrote down what it showed and what was clicked. A colleague
# has a new policy. Before it meets a single user, you are asked: is it better?

# %%
import matplotlib.pyplot as plt
import numpy as np

from recsim_env.evaluation.off_policy import importance_weights, ips, snips
from recsim_env.experiments.lessons import off_policy_evaluation
from recsim_env.experiments.lessons.pictures import COLOURS, animate, tidy
from recsim_env.experiments.lessons.predictions import predict
from recsim_env.simulators.datasets import read_open_bandit
from recsim_env.simulators.log_evaluation import off_policy_values

# %% [markdown]
# ## A log, and a colleague
#
# Ten items with click rates from 2 to 11 per cent. The old policy shows them at random, but those that were
# fashionable last year more often. The new one prefers items that are clicked more. Both are *stochastic*: every item
# has some probability, and the log holds that of the item it shows, the *propensity*.

# %%
rng = np.random.default_rng(9)
click_rate = np.arange(2, 12) / 100
old = np.exp(-0.25 * np.arange(10)) / np.exp(-0.25 * np.arange(10)).sum()
new = np.exp(0.25 * np.arange(10)) / np.exp(0.25 * np.arange(10)).sum()
truth_old, truth_new = old @ click_rate, new @ click_rate


def make_log(rows):
    item = rng.choice(10, rows, p=old)
    return item, (rng.random(rows) < click_rate[item]).astype(float)


item, click = make_log(20_000)
print(f"the old policy earned {click.mean():.4f} clicks a visitor")

# %% [markdown]
# The new policy would show other items. Rows in which it does what the old one did say something about it, and more
# so if the old one did that rarely. So every row gets the *weight*
#
# $$w_i = \frac{\pi_\text{new}(a_i)}{\pi_\text{old}(a_i)}, \qquad \hat V_\text{IPS} = \frac1n \sum_i w_i r_i ,$$
#
# whose expectation is exactly what the new policy earns. That is *inverse propensity scoring*.

# %%
weight = importance_weights(np.log(new[item]), np.log(old[item]))
print("ips  ", ips(click, weight))
print("snips", snips(click, weight))
print(f"truth {truth_new:.4f}")

# %% [markdown]
# ## How much is a log worth?
#
# Now the colleague has a simpler idea: always show item 9, the best one. The old policy showed it in about two per
# cent of the rows. **Of the 20,000 rows, how many speak about that policy?**

# %%
useful = predict("How many of the 20,000 rows say something about 'always item 9'?", answer=None)

# %%
always = np.eye(10)[9]
weight_always = always[item] / old[item]
effective = weight_always.sum() ** 2 / (weight_always**2).sum()
useful.reveal(int((item == 9).sum()))
print(f"the effective sample size, (sum w)^2 / sum w^2, is {effective:.0f}")
print("ips  ", ips(click, weight_always))
print(f"truth {click_rate[9]:.4f}")

# %% [markdown]
# This is the price: a log made by one policy holds little about a policy that is far from it, and the interval says
# so. Watch both estimates as the log grows from 100 rows to 20,000.

# %%
sizes = np.unique(np.geomspace(100, 20_000, 30).astype(int))
policies = {"near: prefers the good ones": (weight, truth_new), "far: always item 9": (weight_always, 0.11)}
figure = plt.figure(figsize=(6.4, 3.4), layout="constrained")


def draw(i):
    figure.clear()
    axes = figure.add_subplot()
    for colour, (name, (w, truth)) in zip(COLOURS, policies.items(), strict=False):
        found = [ips(click[:n], w[:n]) for n in sizes[: i + 1]]
        low, high = np.transpose([e.interval for e in found])
        axes.axhline(truth, color=colour, lw=0.8, ls=":")
        axes.plot(sizes[: i + 1], [e.value for e in found], color=colour, label=name)
        axes.fill_between(sizes[: i + 1], low, high, color=colour, alpha=0.2, lw=0)
    axes.set(
        xscale="log", xlim=(100, 20_000), ylim=(0, 0.25), xlabel="rows of the log", ylabel="clicks a visitor"
    )
    axes.set_title("Estimates with 95 % intervals; dotted: the truth")
    axes.legend(frameon=False, loc="upper right")
    tidy(axes)


animate(figure, draw, len(sizes), per_second=6)

# %% [markdown]
# ## Do the intervals hold?
#
# An interval of 95 % promises to hold the truth in 95 of 100 logs. We can make as many logs as we like, and count.
# **Of 400 logs with 300 rows each, how many intervals for 'always item 9' hold the truth?**

# %%
kept = predict("How many of 400 intervals hold the truth?", answer=None)


# %%
def holds(policy, rows):
    item, click = make_log(rows)
    low, high = ips(click, policy[item] / old[item]).interval
    return low <= policy @ click_rate <= high


near = sum(holds(new, 300) for _ in range(400))
far = sum(holds(always, 300) for _ in range(400))
print(f"near: {near} of 400")
kept.reveal(far)

# %% [markdown]
# In 300 rows item 9 was shown seven times, and in four logs of ten never clicked: then the estimate is 0, and so are
# both ends of its interval. The interval assumes that a mean is normal, which that of so few is not: it is too short
# when it is needed most, and a little too short even for the near policy, which also lives on its heavier weights.
# The package prints a warning when a few rows decide; take it seriously.
#
# ## A real log
#
# The *Open Bandit* data, 10,000 recommendations of a fashion shop by Thompson sampling, with their propensities. A
# second log, made by showing items at random, tells what random really earns: 0.0038 clicks. (Both ship with the
# package; 42 clicks in all.)

# %%
data = read_open_bandit("open-bandit/all", policy="bts")
print(off_policy_values(data.log, np.full(80, 1 / 80), position=data.position))

# %% [markdown]
# Every interval is as wide as the values themselves. 10,000 rows with 42 clicks cannot tell the two policies apart, and
# no estimator can change that. A log that is too small does not become larger by mathematics.
#
# ## Your turn


# %%
def inverse_propensity(reward, new_probability, old_probability):
    """Three arrays (n,): what happened, and how likely each policy was to do what was done."""
    raise NotImplementedError


off_policy_evaluation.check_inverse_propensity(inverse_propensity)


# %%
def effective_sample_size(weight):
    """How many equally weighted rows would be as good."""
    raise NotImplementedError


off_policy_evaluation.check_effective_sample_size(effective_sample_size)

# %% [markdown]
# ## Where this fails
#
# If the old policy *never* does what the new one does, there is nothing to weigh, and no estimator knows it. If the
# propensities in the log are wrong, everything is. And for slates one has to say how users look down a list: an
# estimator that believes slots are independent is 21 per cent off under the cascade of notebook 1, at every size of
# the log (`recsim-env run off_policy_accuracy`, docs/off_policy).

# %%
# What this notebook has shown, as numbers.
near_value, far_value = ips(click, weight), ips(click, weight_always)
assert abs(near_value.value - truth_new) < 4 * near_value.std_error
assert abs(far_value.value - 0.11) < 4 * far_value.std_error
assert far_value.std_error > 3 * near_value.std_error
assert 400 < (item == 9).sum() < 600
assert np.isclose(effective, (item == 9).sum())
assert near >= 320
assert far < 260
