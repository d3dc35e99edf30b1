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
# # 4. Thompson sampling
#
# **Can a learner explore just as much as it should by drawing lots?**
#
# UCB1 of notebook 2 adds to every click rate a radius from a theorem. The oldest bandit algorithm of all (Thompson,
# 1933) needs no theorem. It says: *show an item with the probability that it is the best one, given what you know.*

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import beta as beta_law

from recsim_env.agents.bandits.bayes_ucb import BayesUCB
from recsim_env.agents.bandits.beta_ts import BetaTS
from recsim_env.agents.bandits.delayed_feedback import DelayedFeedback
from recsim_env.agents.bandits.kl_ucb import KLUCB
from recsim_env.agents.bandits.ucb1 import UCB1
from recsim_env.evaluation.regret_bounds import lai_robbins
from recsim_env.experiments.lessons import thompson_sampling
from recsim_env.experiments.lessons.pictures import COLOURS, animate, draw_band, tidy
from recsim_env.experiments.lessons.predictions import predict
from recsim_env.experiments.rounds import play_rounds
from recsim_env.simulators.worlds.bernoulli_bandit import bernoulli_bandit

# %% [markdown]
# ## What is known of an item
#
# Before anybody saw it, any click rate $\theta$ from 0 to 1 may be true of an item. After $s$ clicks of $n$ visitors
# some are more plausible than others. Bayes' rule says how much more:
#
# $$\theta \mid s, n \;\sim\; \mathrm{Beta}(1 + s,\ 1 + n - s).$$
#
# This is the *posterior*. To show an item with the probability that it is best, no integral is needed: **draw one
# $\theta$ for every item from its posterior, and show the item of the largest draw.** That is all.
#
# Five items are clicked by 20, 30, 40, 50 and 60 % of 1,000 visitors. **What share of the visitors is shown the best
# one?**

# %%
share = predict("What share of the first 1,000 visitors is shown the best item?", answer=None)

# %%
B, T = 200, 1000
five = bernoulli_bandit(5, 0.2, 0.6, horizon=T)
played = play_rounds(five, BetaTS(B, 5), B)
is_best = played.slates[:, :, 0] == five.mean.argmax()  # (T, B)
share.reveal(is_best.mean())
print(f"of the first hundred {is_best[:100].mean():.2f}, of the last hundred {is_best[-100:].mean():.2f}")

# %% [markdown]
# One of these learners, and its five posteriors. Each is drawn to the same height; what counts is where it is and how
# wide. The black bars are the truth, which the learner does not see.

# %%
shown = played.slates[:, 1] == np.arange(5)  # (T, 5) of replicate 1
alpha = 1 + (shown * played.reward[:, 1:2]).cumsum(axis=0)
beta = 1 + shown.cumsum(axis=0) - (alpha - 1)
moments = np.unique(np.geomspace(1, T, 20).astype(int)) - 1
theta = np.linspace(0, 1, 400)
figure = plt.figure(figsize=(6.4, 3.8))


def draw(i):
    figure.clear()
    axes, t = figure.add_axes((0.1, 0.13, 0.75, 0.78)), moments[i]
    for row, a in reversed(list(enumerate(five.mean.argsort()))):
        density = beta_law.pdf(theta, alpha[t, a], beta[t, a])
        top = row + 1.3 * density / density.max()
        axes.fill_between(theta, row, top, color=COLOURS[row], alpha=0.85, lw=0, zorder=6 - row)
        axes.plot(theta, top, color="white", lw=1, zorder=6 - row)
        axes.plot([five.mean[a]] * 2, [row, row + 0.35], color="black", lw=2.5, zorder=7)
        axes.text(1.03, row + 0.1, f"shown {shown[: t + 1, a].sum()}", fontsize=9)
    axes.set(
        xlim=(0, 1), ylim=(0, 5.5), yticks=range(5), xlabel="click rate", title=f"after visitor {t + 1:,}"
    )
    axes.set_yticklabels([f"item {a}" for a in five.mean.argsort()])
    tidy(axes)


animate(figure, draw, len(moments), per_second=3)

# %% [markdown]
# This learner has bad luck: of the first four visitors who see the best item, none clicks. Greedy would never come
# back to it. But four visitors say little: the posterior still reaches beyond 50 %, and now and then the largest draw
# comes from there. So the item is tried again, and found.
#
# In the end the posterior of the best item is narrow. Those of the bad items stay wide, for nobody needs to know *how* bad
# they are: it is enough that they hardly ever draw the largest $\theta$. Exploration fades by itself.
#
# ## A race
#
# Four learners on five items with small click rates, from 5 to 15 %, and 5,000 visitors. UCB1 and KL-UCB are those of
# notebooks 2 and 3. *Bayes-UCB* is in between: it keeps posteriors and is an optimist about them, and shows the item
# with the largest quantile, at level $1 - 1/t$. **Who loses least?**

# %%
names = ["UCB1", "KL-UCB", "Bayes-UCB", "Thompson"]
order = predict("Put them in order, the least regret first.", answer=None, choices=names)


# %%
def race(world):
    """{name: (T, B) regret}."""
    learners = [make(B, world.num_items) for make in (UCB1, KLUCB, BayesUCB, BetaTS)]
    return {name: play_rounds(world, agent, B).regret for name, agent in zip(names, learners, strict=True)}


small = bernoulli_bandit(5, 0.05, 0.15, horizon=5000)
curves = race(small)
lost = {name: regret[-1].mean() for name, regret in curves.items()}
order.reveal(sorted(names, key=lost.get))

# %%
rounds = np.unique(np.geomspace(10, 5000, 150).astype(int))
figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
for name, regret in curves.items():
    draw_band(axes, rounds, regret[rounds - 1], f"{name}: {lost[name]:.0f}")
least = lai_robbins(rounds, small.mean)
axes.plot(rounds, least - least[-1] + lost["Thompson"], "k--", lw=1, label="slope of Lai and Robbins")
axes.set(xscale="log", ylim=(0, 170), xlabel="visitor", ylabel="regret, in clicks")
axes.set_title("Five items, 200 learners each (95 % bands)")
axes.legend(frameon=False, loc="upper left", title="regret at the end")

# %% [markdown]
# The dashed line has the slope of the lower bound of notebook 3, moved to the end of Thompson sampling's curve: it grows
# as slowly as can be asked for. Thompson sampling wins here, without a tuned constant. Do not make a law of it. On ten
# items from 10 to 90 %:

# %%
other = {name: regret[-1] for name, regret in race(bernoulli_bandit(10, 0.1, 0.9, horizon=2000)).items()}
for name, regret in other.items():
    print(f"{name:10} {regret.mean():6.1f} +- {regret.std(ddof=1) / np.sqrt(B):.1f}")

# %% [markdown]
# Now Bayes-UCB is ahead. All three that know how noisy a click is stay close together, and far from UCB1.
#
# ## What if the prior is wrong?
#
# So far the learner began with $\mathrm{Beta}(1, 1)$: every click rate is equally likely. Now ten items get click rates
# that really are drawn that way, anew for each learner, and some learners begin with another belief:
#
# - *hopeful*, $\mathrm{Beta}(20, 1)$: as if 19 visitors had seen every item, and all had clicked;
# - *gloomy*, $\mathrm{Beta}(1, 20)$: as if 19 visitors had seen it, and none had clicked;
# - *stubborn*, $\mathrm{Beta}(20, 20)$: everything is about one half.
#
# **Who loses most after 2,000 visitors? And who loses least of all in the first 30?**

# %%
priors = {"right": (1, 1), "hopeful": (20, 1), "gloomy": (1, 20), "stubborn": (20, 20)}
last = predict("Who has lost most after 2,000 visitors?", answer=None, choices=list(priors))
first = predict("Who has lost least after 30?", answer=None, choices=list(priors))

# %%
drawn = bernoulli_bandit(10, 0.0, 1.0, "drawn", horizon=2000)
many = 400
by_prior = {name: play_rounds(drawn, BetaTS(many, 10, prior), many).regret for name, prior in priors.items()}
early = {name: regret[29].mean() for name, regret in by_prior.items()}
late = {name: regret[-1].mean() for name, regret in by_prior.items()}
last.reveal(max(late, key=late.get))
first.reveal(min(early, key=early.get))
for name in priors:
    above = by_prior[name][-1] - by_prior["right"][-1]  # the same items and visitors: paired
    print(
        f"{name:9} {late[name]:6.1f}   more than right: {above.mean():5.1f} +- {above.std() / np.sqrt(many):.1f}"
    )

# %%
rounds = np.unique(np.geomspace(10, 2000, 150).astype(int))
figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
for name, regret in by_prior.items():
    draw_band(axes, rounds, regret[rounds - 1], f"{name}: Beta{priors[name]}")
axes.set(xscale="log", yscale="log", xlabel="visitor", ylabel="regret, in clicks")
axes.set_title("Ten items with click rates that are drawn uniformly")
axes.legend(frameon=False, loc="upper left")

# %% [markdown]
# The hopeful learner is disappointed by one item after the other, until it has seen enough of all of them. That costs
# something, and then it is over. The gloomy one is content with the first item that gets a few clicks, and
# expects nothing of the others: a good start, and then it never looks again, or hardly ever. The stubborn one begins
# worst of all, since it trusts its forty imagined visitors more than the first real ones. *Too much hope cures itself, too
# little does not.* It is optimism in the face of uncertainty once more.
#
# ## What if the news comes late?
#
# In a real shop clicks are counted by a nightly job. Let learners be told what happened only in *batches*: of visitors
# 1 to 100 after visitor 100, and so on. Ten items, one is clicked by 90 %, the others by 10 %. Told at once, UCB1 loses
# about 140 clicks to 2,000 visitors, and Thompson sampling 26. **What do they lose in batches of 100?**

# %%
late_ucb = predict("UCB1 in batches of 100 loses?", answer=None)
late_thompson = predict("Thompson sampling in batches of 100 loses?", answer=None)

# %%
one_best = bernoulli_bandit(10, 0.1, 0.9, "one_best", horizon=2000)
batches = [1, 10, 30, 100]
late_curves = {
    name: [play_rounds(one_best, DelayedFeedback(make(B, 10), d, batches=True), B).regret for d in batches]
    for name, make in {"UCB1": UCB1, "KL-UCB": KLUCB, "Thompson": BetaTS}.items()
}
at_end = {name: np.array([regret[-1] for regret in runs]) for name, runs in late_curves.items()}
late_ucb.reveal(at_end["UCB1"][-1].mean())
late_thompson.reveal(at_end["Thompson"][-1].mean())

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.6), layout="constrained")
for colour, (name, runs) in zip((COLOURS[0], COLOURS[1], COLOURS[3]), late_curves.items(), strict=True):
    draw_band(left, batches, at_end[name], name, colour, marker="o")
    draw_band(right, np.arange(1, 2001), runs[-1], name, colour)
blind = one_best.gaps.mean() * np.array(batches)
left.plot(batches, blind, "k:", lw=1.2)
left.text(16, 3, "first batch\nat random")
left.set(xscale="log", yscale="log", xlabel="visitors in a batch", ylabel="regret after 2,000 visitors")
left.set_xticks(batches, [str(d) for d in batches])
left.set_yticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
left.minorticks_off()
right.legend(frameon=False, loc="center right")
right.set(xlabel="visitor", ylabel="regret, in clicks", title="In batches of 100")
left.set_title("Late news")

# %% [markdown]
# Before the first batch is told, nobody knows anything. Thompson sampling then shows items at random, which costs what
# the dotted line says, and in batches of 100 it loses hardly more: it draws anew for every visitor, so without news it
# spreads them over all items that may still be best. An index does *not* change without news. UCB1 and KL-UCB show an
# item that they have not tried to *all* visitors of a batch, then the next such item to all of the next batch: nine
# wrong items, 80 clicks each, are the 720 on the right. (One can mend this by hand, and let an index policy take turns.
# Thompson sampling does not need it.)
#
# ## Your turn
#
# Write the posterior after the clicks of some visitors.


# %%
def posterior(alpha, beta, clicks):
    """`clicks` is an array of 0 and 1, one a visitor; return the new (alpha, beta)."""
    raise NotImplementedError


thompson_sampling.check_posterior(posterior)


# %% [markdown]
# And the choice. `rng.beta(alpha, beta)` takes arrays. The check calls your function 3,000 times and counts.


# %%
def choose(alpha, beta, rng):
    """`alpha` and `beta` are arrays, one number an item; return the item to show."""
    raise NotImplementedError


thompson_sampling.check_choose(choose)

# %% [markdown]
# ## Where this fails
#
# Thompson sampling is as good as its posterior. Here that is two counts an item. With features, and worse with a neural
# network, the posterior is itself an approximation, and one that is too sure of itself explores too little, as the
# gloomy learner did. It also draws for ever: where only the last decision counts, and not what was lost on the way, there are
# better ways to explore. And its posterior believes that click rates stay as they are: an opponent can use that
# (notebook 5), and users who change make it too sure (notebook 10).

# %%
# What this notebook has shown, as numbers.
assert 0.6 < is_best.mean() < 0.9
assert is_best[-100:].mean() > 0.85 > 0.5 > is_best[:100].mean()
assert shown[:70, five.mean.argmax()].sum() == 4
assert alpha[69, five.mean.argmax()] == 1
assert shown[:, five.mean.argmax()].sum() > 800
assert sorted(names, key=lost.get)[0] == "Thompson"
assert lost["UCB1"] > 2 * max(lost[name] for name in names[1:])
assert other["Bayes-UCB"].mean() < other["Thompson"].mean() < other["UCB1"].mean() / 3
assert max(late, key=late.get) == "gloomy"
assert min(early, key=early.get) == "gloomy"
assert late["right"] < 0.8 * min(late["hopeful"], late["stubborn"])
assert at_end["Thompson"][-1].mean() < 1.1 * blind[-1]
assert at_end["UCB1"][-1].mean() > 5 * at_end["Thompson"][-1].mean()
assert at_end["KL-UCB"][1].mean() > 2 * at_end["Thompson"][1].mean()
assert np.allclose(at_end["KL-UCB"][3], 9 * 100 * 0.8)
