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
# # 6. Contexts
#
# **What is it worth to know who is looking?**
#
# A bandit finds the item that suits users best *on average*. But there is no average user. If something is known of
# each, a number or a vector, which is called a *context*, then every user can have the item that suits them. The
# price is that there is far more to learn.

# %%
import matplotlib.pyplot as plt
import numpy as np

from recsim_env.agents.bandits.binned_contexts import BinnedContexts, theory_bins
from recsim_env.agents.bandits.lin_ts import LinTS
from recsim_env.agents.bandits.lin_ucb import LinUCB
from recsim_env.agents.bandits.ucb1 import UCB1
from recsim_env.experiments.lessons import contexts
from recsim_env.experiments.lessons.pictures import COLOURS, animate, draw_band, tidy
from recsim_env.experiments.lessons.predictions import predict
from recsim_env.experiments.rounds import play_rounds
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.contextual_bandit import contextual_bandit
from recsim_env.simulators.worlds.linear_bandit import linear_bandit

# %% [markdown]
# ## Five items, and a number for every user
#
# In `ContextualBandit-v0` a user is a number $x$ from 0 to 1; think of the hour of the day. Each of five items is
# liked at some hours and disliked at others.

# %%
T = 10_000
world = contextual_bandit(num_items=5, waves=1, horizon=T)
x = np.linspace(0, 1, 1001)
means = world.mean_rewards(x[:, None])  # (1001, 5) click rate of every item for every user
figure, axes = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
for a in range(5):
    axes.plot(x, means[:, a], color=COLOURS[a], label=f"item {a}")
axes.set(xlabel="context x", ylabel="click rate", ylim=(0, 1))
axes.legend(frameon=False, ncols=5, loc="upper center", fontsize=8)
tidy(axes)

# %% [markdown]
# Averaged over all users, every item is clicked by one half: no single item is any better than another. **If everybody
# is shown the item that suits them best, what share of users clicks?**

# %%
personal = predict("The share of users who click, if each is shown their best item?", answer=None)

# %%
one_for_all, one_for_each = means.mean(axis=0).max(), means.max(axis=1).mean()
print(f"one item for all: {one_for_all:.2f}")
personal.reveal(one_for_each)

# %% [markdown]
# ## Three ways to learn it
#
# - *One for all*: UCB1, which does not look at $x$.
# - *A line per item*: LinUCB fits $\mu_a(x) \approx \beta_a x + \alpha_a$ to the clicks of every item, and shows the
#   item with the largest upper confidence bound.
# - *Bins*: cut $[0, 1]$ into pieces, and let a UCB1 of its own learn in each. If the curves are no steeper than $L$,
#   which is known, theory says how many pieces: here nine.
#
# **Which loses least after 10,000 users, which most?**

# %%
names = ["one for all", "a line per item", "bins"]
order = predict("From the least to the most regret?", answer=None, choices=names)

# %%
B, bins = 40, theory_bins(T, 5, world.lipschitz)
agents = {
    "one for all": UCB1(B, 5),
    "a line per item": LinUCB(B, 5, 1, shared=False),
    "bins": BinnedContexts(B, 5, 1, bins),
}
regret = {name: play_rounds(world, agent, B).regret for name, agent in agents.items()}
last = {name: curves[-1].mean() for name, curves in regret.items()}
order.reveal(sorted(names, key=last.get))

# %% [markdown]
# The right picture shows what each of them does in the end: the click rate of what it shows to a user of context $x$.


# %%
def shown_now(agent, x):
    """(len(x),) the click rate of what the agent shows, averaged over its rows."""
    luck, rates = Luck.from_seeds(range(B)).at(T), []
    for place in x:
        context = np.full((B, 1), place, np.float32)
        slates = agent.act({"context": context}, luck)
        rates.append(np.take_along_axis(world.mean_rewards(context), slates, axis=1).mean())
    return np.array(rates)


figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.6), layout="constrained")
grid = x[5::10]
right.plot(x, means.max(axis=1), color="#999999", lw=1, ls="--", label="the best item")
for colour, (name, agent) in zip(COLOURS, agents.items(), strict=False):
    draw_band(left, np.arange(T)[::100], regret[name][::100], name, colour)
    right.plot(grid, shown_now(agent, grid), color=colour, lw=1.6)
left.set(xlabel="users", ylabel="regret, in clicks", title="What was lost")
right.set(xlabel="context x", ylabel="click rate", ylim=(0.3, 1.0), title="What they show in the end")
left.legend(frameon=False)
right.legend(frameon=False, loc="lower right")
tidy(right)

# %%
late = {name: (curves[-1] - curves[-2001]).mean() / 2000 for name, curves in regret.items()}
middle = {name: (curves[4999] - curves[2999]).mean() / 2000 for name, curves in regret.items()}
lines = [f"{name:16} {middle[name]:.3f} -> {late[name]:.3f}" for name in names]
print("lost per user in rounds 3,000-5,000 -> 8,000-10,000:", *lines, sep="\n")

# %% [markdown]
# *One for all* has nothing to find. *A line per item* helps, but a wave is no line, and in the end it still loses a
# tenth of a click per user. *Bins* assume only that close users are alike, and go on improving. What they still lose,
# they lose to exploration, and in bins that hold a border between two items, where they show one to both kinds of user.
#
# Watch the bins of a single learner. A dot is what it believes of an item in a bin, and large where it showed the
# item often. The lines are the truth. It finds out about an item *where that item is good*; elsewhere it does not care.

# %%
moments = [50, 100, 150, 200, 300, 400, 600, 800, 1000, 1500, 2000, 3000, 5000, 10_000]
centres = (np.arange(bins) + 0.5) / bins
learners = [BinnedContexts(1, 5, 1, bins) for _ in moments]
for rounds, learner in zip(moments, learners, strict=True):
    play_rounds(world, learner, 1, rounds)
figure = plt.figure(figsize=(6.8, 3.8))


def draw(i):
    figure.clear()
    axes = figure.add_axes((0.1, 0.14, 0.87, 0.77))
    pulls, believed = learners[i].pulls[0], learners[i].means[0]  # (bins, 5)
    for a in range(5):
        axes.plot(x, means[:, a], color=COLOURS[a], lw=1, alpha=0.5)
        share = pulls[:, a] / np.maximum(pulls.sum(axis=1), 1)
        axes.scatter(centres, believed[:, a], 12 + 150 * share, color=COLOURS[a], alpha=0.85, lw=0)
    axes.set(xlabel="context x", ylabel="click rate", ylim=(-0.05, 1.05), title=f"after {moments[i]:,} users")
    tidy(axes)


animate(figure, draw, len(moments), per_second=2)

# %% [markdown]
# ## How many bins?
#
# Few bins lump different users together. Many bins learn everything anew in each. **With 5,000 users, which number of
# bins loses least: 1, 2, 4, 8, 16, 32, 64 or 128?**

# %%
how_many = predict("The best number of bins?", answer=None)

# %%
numbers = [1, 2, 4, 8, 16, 32, 64, 128]
by_bins = np.array(
    [play_rounds(world, BinnedContexts(B, 5, 1, b), B, 5000).regret[-1].mean() for b in numbers]
)
figure, axes = plt.subplots(figsize=(6.4, 3.0), layout="constrained")
axes.semilogx(numbers, by_bins, "o-", color=COLOURS[0])
axes.set_xticks(numbers, numbers)
axes.minorticks_off()
axes.set(xlabel="bins", ylabel="regret", title="After 5,000 users", ylim=(0, None))
tidy(axes)
how_many.reveal(numbers[by_bins.argmin()])

# %% [markdown]
# A trade-off again, between *bias* on the left and *variance* on the right. (The theory's rule gives
# $w = (K \log T / (L^2 T))^{1/3}$ for the width of a bin, so with more users bins get narrower.)
#
# ## Where lines are right
#
# In `LinearBandit-v0` every item has a known vector $x_a$, and its reward is $\theta \cdot x_a$ plus noise, with
# one unknown $\theta$ for all. Now a reward of one item says something about *all* others. LinUCB keeps an ellipse that
# holds $\theta$ with high probability,
#
# $$\{\theta : (\theta - \hat\theta)^\top V (\theta - \hat\theta) \le r^2\}, \qquad V = \lambda I + \sum_s x_s x_s^\top,$$
#
# and shows the item that is best under the *most favourable* $\theta$ in it. Here it is in the plane, with twelve items.

# %%
plane = linear_bandit(num_items=12, dimension=2, fresh_features=False, horizon=500, world_seed=3)
times = [1, 2, 3, 4, 5, 6, 8, 10, 14, 20, 30, 50, 80, 120, 200, 300, 500]
turn = np.linspace(0, 2 * np.pi, 100)
circle = np.stack([np.cos(turn), np.sin(turn)])
figure = plt.figure(figsize=(5.6, 5.0))


def ellipse(t):
    learner = LinUCB(1, 12, 2, deviation=0.1)
    shown = play_rounds(plane, learner, 1, t, seed=1).slates[:, 0, 0]
    centre = learner.regressions.estimate[0, 0]
    root = np.linalg.cholesky(learner.regressions.inverse[0, 0])
    return shown, centre, centre[:, None] + learner.radius()[0, 0] * root @ circle


def draw(i):
    figure.clear()
    axes = figure.add_axes((0.1, 0.07, 0.87, 0.87))
    shown, centre, border = ellipse(times[i])
    axes.fill(*border, color=COLOURS[0], alpha=0.15, lw=0)
    axes.plot(*centre, "o", color=COLOURS[0], label="estimate, and where theta may be")
    axes.plot(*plane.theta, "k*", ms=12, label="theta")
    size = 12 + 200 * np.bincount(shown, minlength=12) / len(shown)
    axes.scatter(*plane.features.T, size, color=COLOURS[1], lw=0, label="items, large if shown often")
    axes.set(xlim=(-1.3, 2.1), ylim=(-2.1, 1.5), aspect="equal", title=f"round {times[i]}")
    axes.legend(frameon=False, loc="upper right", fontsize=8)
    tidy(axes)


animate(figure, draw, len(times), per_second=2)

# %% [markdown]
# The ellipse becomes a needle: narrow in the direction of the item that is shown, long across it. What $\theta$ does
# in that other direction is never learned well, because it does not matter for the best item.
#
# Now 50 items in 5 dimensions. UCB1 learns 50 numbers, LinUCB five. *LinTS* draws $\theta$ from its posterior, and
# shows the item that is best under the draw. After 2,000 rounds UCB1 has lost 81. **And LinUCB?**

# %%
linear = predict("The regret of LinUCB after 2,000 rounds?", answer=None)

# %%
rounds, D, noise = 2000, 5, 0.1
makers = {
    "UCB1 per item": lambda: UCB1(B, 50, deviation=noise),
    "LinUCB": lambda: LinUCB(B, 50, D, deviation=noise),
    "LinTS": lambda: LinTS(B, 50, D, inflation=noise, penalty=noise**2 * D),
    "LinTS, narrow prior": lambda: LinTS(B, 50, D, inflation=noise, penalty=1.0),
}
places = {"the same items": False, "new items every round": True}
curves = {}
for place, fresh in places.items():
    items = linear_bandit(num_items=50, dimension=D, fresh_features=fresh, horizon=rounds)
    for name, make in makers.items():
        curves[place, name] = play_rounds(items, make(), B).regret
final = {key: curve[-1].mean() for key, curve in curves.items()}
linear.reveal(final["the same items", "LinUCB"])

# %%
figure, both = plt.subplots(1, 2, figsize=(9.0, 3.6), layout="constrained")
for axes, place in zip(both, places, strict=True):
    for name in makers:
        draw_band(axes, np.arange(rounds)[::20], curves[place, name][::20], name)
    axes.set(title=place, xlabel="round")
both[0].set(ylabel="regret", ylim=(0, 120))
both[1].set(ylim=(0, 120))
both[0].legend(frameon=False, loc="upper left", fontsize=8)
both[1].text(
    260, 105, f"UCB1 leaves the picture\nand ends at {final['new items every round', 'UCB1 per item']:,.0f}"
)

# %% [markdown]
# On the right the vectors are drawn anew in every round: each user crossed with each item. "Item 7" means nothing then,
# and UCB1, which knows items by their number, learns nothing. What carries over is $\theta$ alone.
#
# One curve is a warning. Thompson sampling starts from a prior, here $N(0, \sigma^2/\lambda\, I)$. $\theta$ has
# length 1, so in 5 dimensions its entries are of the size of $\sqrt{1/5}$, and $\lambda = 5 \sigma^2$ says so. With
# $\lambda = 1$ and $\sigma = 0.1$ the learner is sure beforehand that $\theta$ is near 0, and tries too little: on the
# left, some of its 40 runs get stuck with an item that is not the best (see how wide the band is). On the right this
# does little harm, because new items make everybody explore.
#
# ## Your turn
#
# `means` is a table of click rates, a row for every user and a column for every item; all users come equally often.
# How many more clicks a user come from knowing the user?


# %%
def worth_of_knowing(means):
    """`means` is (users, items): each their best item, less the best single item for all."""
    raise NotImplementedError


contexts.check_worth_of_knowing(worth_of_knowing)


# %% [markdown]
# Write the upper confidence bound of LinUCB: the largest $\theta \cdot x$ in the ellipse.


# %%
def upper_bound(x, theta_hat, inverse, radius):
    """`x` and `theta_hat` are (D,), `inverse` is V to the power of -1, (D, D)."""
    raise NotImplementedError


contexts.check_upper_bound(upper_bound)

# %% [markdown]
# ## Where this fails
#
# Bins need few dimensions: nine bins along each of ten coordinates are three billion cells. Lines need the right
# features. Real systems learn features with a neural network, and then explore with a linear model on top
# (`NeuralLinearTS`); nothing is proved of that. And we have assumed that the context says enough: two users with the same
# $x$ are the same user here.

# %%
# What this notebook has shown, as numbers.
assert abs(one_for_all - 0.5) < 0.001
assert abs(one_for_each - 0.82) < 0.001
assert last["bins"] < 0.75 * last["a line per item"] < 0.5 * last["one for all"]
assert late["bins"] < 0.6 * middle["bins"]
assert 0.09 < late["a line per item"] < 0.12
assert numbers[by_bins.argmin()] in (4, 8)
assert min(by_bins[0], by_bins[-1]) > 2 * by_bins.min()
assert final["the same items", "LinTS"] < final["the same items", "LinUCB"] < 40
assert 60 < final["the same items", "UCB1 per item"] < 100
assert final["the same items", "LinTS, narrow prior"] > 2 * final["the same items", "LinUCB"]
assert final["new items every round", "UCB1 per item"] > 20 * final["new items every round", "LinUCB"]
