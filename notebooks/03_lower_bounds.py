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
# # 3. Lower bounds
#
# **How much must even the best algorithm lose?**
#
# Notebook 2 found algorithms that lose less than others. Is there one that loses next to nothing? To answer for
# *every* algorithm, also those nobody has thought of, we have to ask what there is to know, and how soon.

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import binom

from recsim_env.agents.bandits.beta_ts import BetaTS
from recsim_env.agents.bandits.kl_ucb import KLUCB
from recsim_env.agents.bandits.moss import MOSS
from recsim_env.agents.bandits.ucb1 import UCB1
from recsim_env.evaluation.regret_bounds import (
    kl_bernoulli,
    lai_robbins,
    lai_robbins_slope,
    minimax_lower_bound,
)
from recsim_env.experiments.lessons import lower_bounds
from recsim_env.experiments.lessons.pictures import COLOURS, animate, draw_band, tidy
from recsim_env.experiments.lessons.predictions import predict
from recsim_env.experiments.rounds import play_rounds
from recsim_env.simulators.worlds.bernoulli_bandit import bernoulli_bandit

# %% [markdown]
# ## Two coins
#
# One coin shows heads in half of all tosses, the other in 60 %. Somebody takes one of them, either with the same
# probability, and tosses it $n$ times. You see the tosses and say which coin it was.
#
# **How many tosses do you need to be wrong in at most 5 % of all cases?**

# %%
tosses = predict("How many tosses tell the two coins apart?", answer=None)

# %% [markdown]
# Nobody can do better than to name the coin under which what was seen is more likely. That guess is wrong with
# probability
#
# $$e(n) = \tfrac12 \sum_{k=0}^{n} \min\{P(k \text{ heads} \mid \text{coin 1}),\ P(k \text{ heads} \mid \text{coin 2})\},$$
#
# half of what the two distributions have in common.


# %%
def error(n, p, q):
    heads = np.arange(n + 1)
    return 0.5 * np.minimum(binom.pmf(heads, n, p), binom.pmf(heads, n, q)).sum()


def needed(p, q, wanted=0.05):
    """The least n for which the best guess is wrong so rarely."""
    n = 1
    while error(n, p, q) > wanted:
        n += 1
    return n


tosses.reveal(needed(0.5, 0.6))

# %%
numbers = np.unique(np.geomspace(10, 600, 18).astype(int))
figure = plt.figure(figsize=(6.4, 3.2))


def draw(i):
    figure.clear()
    axes, n = figure.add_axes((0.04, 0.17, 0.92, 0.72)), numbers[i]
    heads = np.arange(n + 1)
    coins = [binom.pmf(heads, n, p) for p in (0.5, 0.6)]
    for colour, p, chance in zip(COLOURS, ("50 %", "60 %"), coins, strict=False):
        axes.plot(heads / n, chance, drawstyle="steps-mid", color=colour, lw=2, label=f"coin of {p}")
    axes.fill_between(heads / n, np.min(coins, axis=0), step="mid", color="#b0b0b0")
    axes.set(xlim=(0.2, 0.9), ylim=(0, 1.25 * np.max(coins)), yticks=[], xlabel="share of heads")
    axes.set_title(f"{n} tosses: the best guess is wrong in {100 * error(n, 0.5, 0.6):.1f} % of cases")
    axes.legend(frameon=False, loc="upper left", ncols=2)
    tidy(axes)


animate(figure, draw, len(numbers), per_second=4)

# %% [markdown]
# The grey area is what both coins do. It shrinks, but slowly. **For coins of 50 % and 55 %, half the difference, how
# many times more tosses are needed?**

# %%
times_more = predict("How many times more tosses for half the difference?", answer=None)

# %%
pairs = [(0.5, 0.7), (0.5, 0.6), (0.5, 0.55), (0.05, 0.15)]
table = {pair: needed(*pair) for pair in pairs}
times_more.reveal(table[0.5, 0.55] / table[0.5, 0.6])
for (p, q), n in table.items():
    print(
        f"{p:.2f} against {q:.2f}: {n:5,} tosses   KL = {kl_bernoulli(p, q):.4f}   product {n * kl_bernoulli(p, q):.1f}"
    )

# %% [markdown]
# What counts is the *Kullback-Leibler divergence*, how much one toss of coin $p$ speaks against coin $q$ on average:
#
# $$\mathrm{KL}(p \,\|\, q) = p \ln\frac{p}{q} + (1 - p) \ln\frac{1 - p}{1 - q}.$$
#
# Around one half it is about $2 \epsilon^2$ for coins that differ by $\epsilon$. It is larger near 0 and 1: 5 and
# 15 % are told apart sooner than 50 and 60 %. The last column changes little: the tosses needed are a constant, here
# about five, over KL. And there is no way around it (Bretagnolle and Huber, 1979): for *every* way of guessing,
#
# $$e(n) \ge \tfrac14\, e^{-n\, \mathrm{KL}(p \| q)}.$$
#
# For an error of 5 % that asks for at least $\ln 5 / \mathrm{KL}$ tosses: 1.6 over KL, where the best guess needs five.

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
for colour, q in zip(COLOURS, (0.55, 0.6, 0.7), strict=False):
    n = np.unique(np.geomspace(1, 1000, 60).astype(int))
    axes.plot(n, [error(m, 0.5, q) for m in n], color=colour, label=f"50 % against {100 * q:.0f} %")
    axes.plot(n, 0.25 * np.exp(-n * kl_bernoulli(0.5, q)), color=colour, ls="--", lw=1)
axes.set(yscale="log", ylim=(1e-4, 1), xlim=(0, 1000), xlabel="tosses", ylabel="probability of a wrong guess")
axes.set_title("The best guess, and what no guess can beat (dashed)")
axes.legend(frameon=False, loc="upper right")
tidy(axes)

# %% [markdown]
# ## From coins to regret
#
# Now $K$ items are clicked by about half of the visitors, and one of them, nobody knows which, by $\epsilon$ more.
# There are $T$ visitors. To find the better item one has to look at each item about $1 / \epsilon^2$ times.
#
# - If $\epsilon$ is tiny, there are too few visitors for that. Whatever you do, you show wrong items nearly all the
#   time. That costs $T \epsilon$: little, since $\epsilon$ is tiny.
# - If $\epsilon$ is large, you find out soon. That costs $K$ items, $1 / \epsilon^2$ visitors each, $\epsilon$ for
#   each of them: $K / \epsilon$ in all.
# - In between, where the two meet, is the worst. $T \epsilon = K / \epsilon$ at $\epsilon = \sqrt{K/T}$, where both
#   are $\sqrt{KT}$.
#
# We let UCB1 play, and MOSS, an index that was made for the worst case, with 10 items and 2,000 visitors.
# **At which gap does MOSS lose most?** ($\sqrt{K/T} = 0.07$, but constants matter.)

# %%
worst_gap = predict("The gap at which MOSS loses most?", answer=None)

# %%
K, T, B = 10, 2000, 200
gaps = np.geomspace(0.01, 0.5, 10)


def play(agent, gap, T):
    """(B,) regret after T visitors, where one item is better than nine others by this gap."""
    world = bernoulli_bandit(K, 0.5 - gap / 2, 0.5 + gap / 2, "one_best", horizon=T)
    return play_rounds(world, agent, B).regret[-1]


by_gap = {
    "UCB1": np.array([play(UCB1(B, K), gap, T) for gap in gaps]),
    "MOSS": np.array([play(MOSS(B, K, T), gap, T) for gap in gaps]),
}
worst_gap.reveal(gaps[by_gap["MOSS"].mean(axis=1).argmax()])

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
for name, losses in by_gap.items():
    draw_band(axes, gaps, losses, name, marker="o")
axes.plot(gaps, 0.9 * T * gaps, color="#808080", lw=1, ls=":", label="any item at random")
bound = minimax_lower_bound([T], K)[0]
axes.axhline(bound, color="black", lw=1, ls="--", label=f"every algorithm is above {bound:.0f} somewhere")
axes.vlines(np.sqrt(K / T), 0, 180, color="#808080", lw=0.8)
axes.annotate(r"$\sqrt{K/T}$", (np.sqrt(K / T), 30), xytext=(4, 0), textcoords="offset points")
axes.set(xscale="log", ylim=(0, 330), xlabel="gap", ylabel="regret after 2,000 visitors", title="A hump")
axes.set_xticks([0.01, 0.03, 0.1, 0.3], ["0.01", "0.03", "0.1", "0.3"])
axes.legend(frameon=False, loc="upper left")

# %% [markdown]
# Far left both learners do no better than showing anything: nobody could. Far right they find the better item soon.
# UCB1's hump is higher and stands further to the right, near $\sqrt{K \log T / T} = 0.19$: it wants more certainty. The dashed line is the
# theorem of Auer and others (2002): every algorithm has a gap at which it loses at least $\frac1{20} \sqrt{KT}$. Its
# constant is modest, but the power is right. To see that, draw MOSS for three $T$ in units of $\sqrt{K/T}$ and
# $\sqrt{KT}$.

# %%
units = np.array([0.25, 0.5, 1.0, 1.5, 2.0, 3.0])
figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
peaks = {}
for T in (500, 2000, 8000):
    losses = np.array([play(MOSS(B, K, T), u * np.sqrt(K / T), T) for u in units]) / np.sqrt(K * T)
    peaks[T] = losses.mean(axis=1).max()
    draw_band(axes, units, losses, f"T = {T:,}", marker="o")
axes.set(xlabel=r"gap, in units of $\sqrt{K/T}$", ylabel=r"regret, in units of $\sqrt{KT}$", ylim=(0, 0.9))
axes.set_title("The same hump for every number of visitors")
axes.legend(frameon=False, loc="lower right")

# %% [markdown]
# Nearly one curve: whatever $T$, the worst that MOSS suffers is about $0.7 \sqrt{KT}$. Sixteen times the visitors, four
# times the loss.
#
# ## One problem, for ever
#
# The gap of the worst case changes with $T$. On *one* problem, with more and more visitors, regret grows more slowly.
# How slowly? A learner that is good on every problem must make sure that each worse item $a$ is not in truth the
# best one. That takes about $\ln T / \mathrm{KL}(\mu_a \| \mu^*)$ showings of it, the two coins again, and each
# costs its gap. So, in the long run (Lai and Robbins, 1985),
#
# $$R(T) \gtrsim \sum_{a:\, \mu_a < \mu^*} \frac{\mu^* - \mu_a}{\mathrm{KL}(\mu_a \| \mu^*)} \ln T.$$
#
# Two items, of 40 and 60 %. We measure what regret gains for each unit of $\ln T$, from visitor 4,000 to 16,000.
# **How many times the least possible is that of UCB1?**

# %%
times_least = predict("UCB1's growth over Lai and Robbins' least?", answer=None)


# %%
def growth(curves, world):
    """Regret gained per unit of ln T in the last three quarters, in units of the least possible."""
    gained = (curves[-1] - curves[len(curves) // 4 - 1]).mean() / np.log(4)
    return gained / lai_robbins_slope(world.mean)


T = 16_000
two = bernoulli_bandit(2, 0.4, 0.6, horizon=T)
learners = {"UCB1": UCB1(B, 2), "KL-UCB": KLUCB(B, 2), "Thompson sampling": BetaTS(B, 2)}
curves = {name: play_rounds(two, learner, B).regret for name, learner in learners.items()}
grows = {name: growth(regret, two) for name, regret in curves.items()}
times_least.reveal(grows["UCB1"])

# %%
rounds = np.unique(np.geomspace(10, T, 150).astype(int))
figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
for name, regret in curves.items():
    draw_band(axes, rounds, regret[rounds - 1], f"{name}: grows {grows[name]:.1f} times the least")
axes.plot(rounds, lai_robbins(rounds, two.mean), "k--", lw=1, label="Lai and Robbins")
axes.set(xscale="log", xlabel="visitor", ylabel="regret, in clicks", title="40 % against 60 %")
axes.legend(frameon=False, loc="upper left")

# %% [markdown]
# *KL-UCB* replaces UCB1's radius by the divergence of the lower bound itself: its upper end is the largest $u$ with
# $n_a\,\mathrm{KL}(m_a \| u) \le \ln t$. Its curve is nearly parallel to the dashed line. UCB1's formula wants
# $2 \ln T / \text{gap}^2$ showings, four times as many as needed here in the long run, and at 16,000 visitors it is still
# above that. KL-UCB and Thompson sampling (notebook 4) lie **below** the line. Do they break the law? No: the law is
# about the slope in the limit. For a finite $T$ a curve may be below, and Thompson sampling's even grows less for a
# while.
#
# Where click rates are small, as they are in practice, UCB1 is further off, since it does not know that a coin of
# 5 % is less noisy than one of 50 %.

# %%
rare = bernoulli_bandit(2, 0.05, 0.1, horizon=T)
rare_growth = growth(play_rounds(rare, UCB1(B, 2), B).regret, rare)
print(f"5 % against 10 %: UCB1 grows {rare_growth:.0f} times the least")

# %% [markdown]
# ## Your turn
#
# Write the divergence of two coins, for $p$ and $q$ strictly between 0 and 1.


# %%
def divergence(p, q):
    """KL(p || q), in nats."""
    raise NotImplementedError


lower_bounds.check_divergence(divergence)


# %% [markdown]
# And the least growth of regret, per unit of $\ln T$, for an array of click rates (`kl_bernoulli` takes arrays).


# %%
def least_growth(means):
    """Return a number."""
    raise NotImplementedError


lower_bounds.check_least_growth(least_growth)

# %% [markdown]
# ## Where this fails
#
# A lower bound is a statement about a *set* of problems, and about learners that must be ready for all of them. Who
# always shows item 1 has no regret at all where item 1 is best. Who knows something, such as what the best click rate
# is, or that similar items are clicked alike, or which rates are likely, faces a smaller set, and may lose less.
# The rest of this course is largely about using such knowledge: features (notebook 6), priors (notebook 4). And if an
# opponent changes the click rates, the set is larger, and one loses more.

# %%
# What this notebook has shown, as numbers.
assert table[0.5, 0.6] == 267
assert 3.9 < table[0.5, 0.55] / table[0.5, 0.6] < 4.2
assert all(4.5 < n * kl_bernoulli(*pair) < 6.5 for pair, n in table.items())
assert 0.07 < gaps[by_gap["MOSS"].mean(axis=1).argmax()] < 0.16
assert by_gap["MOSS"].mean(axis=1).max() < 0.5 * by_gap["UCB1"].mean(axis=1).max()
assert all(minimax_lower_bound([1], K)[0] < peak < 0.8 for peak in peaks.values())
assert max(peaks.values()) < 1.1 * min(peaks.values())
assert 5.5 < grows["UCB1"] < 7.5
assert 1.0 < grows["KL-UCB"] < 1.7
assert grows["Thompson sampling"] < 1.0
assert rare_growth > 12
