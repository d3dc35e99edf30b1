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
# # 7. Slates and cascades
#
# **A user clicked the second item of four. What does that say about the third?**
#
# There are 1,820 ways to choose four items of sixteen. Nobody tries all of them. What saves us is that a list does not
# answer as a whole: its *slots* answer, each with a click or none, and so we can learn about items. But first we
# have to know which slots have answered at all.

# %%
import matplotlib.pyplot as plt
import numpy as np

from recsim_env.agents.bandits.cascade_kl_ucb import CascadeKLUCB
from recsim_env.agents.bandits.cascade_lin_ts import CascadeLinTS
from recsim_env.agents.bandits.cascade_ts import CascadeTS
from recsim_env.agents.bandits.cascade_ucb import CascadeUCB
from recsim_env.agents.bandits.comb_ucb1 import CombUCB1
from recsim_env.agents.bandits.pbm_ucb import PBMUCB
from recsim_env.agents.bandits.ranked_bandits import RankedBandits
from recsim_env.agents.bandits.top_rank import TopRank
from recsim_env.experiments.lessons import slates_and_cascades
from recsim_env.experiments.lessons.pictures import COLOURS, animate, draw_band, tidy
from recsim_env.experiments.lessons.predictions import predict
from recsim_env.experiments.rounds import play_rounds
from recsim_env.simulators.worlds.cascade_bandit import cascade_bandit
from recsim_env.simulators.worlds.linear_cascade import linear_cascade_bandit
from recsim_env.simulators.worlds.position_bandit import position_bandit
from recsim_env.simulators.worlds.semi_bandit import semi_bandit

# %% [markdown]
# ## Below the click
#
# In `CascadeBandit-v0` users look down the list and click the first item that attracts (notebook 1). So a click in slot
# 2 says: looked at 1, not attracted; looked at 2, attracted; **never looked at 3 and 4**. What is below the click
# must not be counted. Here is an agent that does count it, as seen and not liked, beside one that does not. Both are
# Thompson samplers: they draw each item's attraction from its posterior, and show the four largest draws.


# %%
class CountsBelow(CascadeTS):
    def update(self, transition):
        super().update(transition._replace(examined=np.ones_like(transition.examined)))


B, N, K, T = 40, 16, 4, 5000
popular = cascade_bandit(num_items=N, slate_size=K, attraction=0.5, gap=0.3, horizon=T)
good = popular.attraction[0] == 0.5
print(f"{good.sum()} of {N} items attract with 0.5, the others with 0.2")

# %% [markdown]
# After 5,000 users, the one that counts only what was seen has lost 45 clicks. **And the one that counts below the
# click?**

# %%
below = predict("Clicks lost by the one that counts below the click?", answer=None)

# %%
counting = {"down to the click": CascadeTS(B, 1, N, K), "all slots": CountsBelow(B, 1, N, K)}
regret = {name: play_rounds(popular, agent, B).regret for name, agent in counting.items()}
lost = {name: curves[-1].mean() for name, curves in regret.items()}
print(f"down to the click: {lost['down to the click']:.0f}")
below.reveal(lost["all slots"])

# %% [markdown]
# What do the two believe of the four good items? They are equally good. In the picture they are ordered, in each
# replicate, by what is believed of them.

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
believed = {}
for i, (name, agent) in enumerate(counting.items()):
    counts = agent.counts
    rate = (counts.clicks / np.maximum(counts.examinations, 1))[:, 0, good]
    believed[name] = -np.sort(-rate, axis=1).mean(axis=0)
    axes.bar(np.arange(K) + 0.4 * i - 0.2, believed[name], 0.36, color=COLOURS[i], label=name)
axes.axhline(0.5, color="black", lw=1, ls="--")
axes.text(3.45, 0.51, "truth", ha="right")
axes.set_xticks(range(K), ["first", "second", "third", "fourth"])
axes.set(ylabel="believed attraction", title="Four items that attract with 0.5", ylim=(0, 0.7))
axes.legend(frameon=False, loc="upper right", title="counts", ncols=2)
tidy(axes)

# %% [markdown]
# One half, one quarter, one eighth, one sixteenth: $0.5^k$. The second item is not looked at by the half of the users
# who clicked the first, and the agent holds that against it. Soon it believes worse items, of which it knows
# less, to be better, tries them there, finds them no better, and so on. More data do not help: they make it surer of
# what is wrong.
#
# ## Three ways to be an optimist
#
# Now a harder problem, from the paper that introduced cascading bandits (Kveton et al., 2015): of 16 items, 4 attract
# with 0.2 and the others with 0.05. With $m$ the click rate of an item among $n$ users who looked at it,
#
# - *CascadeUCB1* shows the items of largest $m + \sqrt{1.5 \ln t / n}$,
# - *CascadeKL-UCB* those of the largest $u$ with $n\,\mathrm{KL}(m \,\|\, u) \le \ln t + 3 \ln \ln t$,
# - *CascadeTS* those of the largest draw from the posterior $\mathrm{Beta}(1 + nm,\; 1 + n(1-m))$.
#
# **Which loses least, which most?**

# %%
names = ["CascadeUCB1", "CascadeKL-UCB", "CascadeTS"]
order = predict("From the least to the most regret?", answer=None, choices=names)

# %%
rare = cascade_bandit(num_items=N, slate_size=K, attraction=0.2, gap=0.15, horizon=T)
kinds = CascadeUCB, CascadeKLUCB, CascadeTS
runs = {name: play_rounds(rare, kind(B, 1, N, K), B) for name, kind in zip(names, kinds, strict=True)}
last = {name: run.regret[-1].mean() for name, run in runs.items()}
print("\n".join(f"{name:14} {loss:4.0f} clicks lost" for name, loss in last.items()))
order.reveal(sorted(names, key=last.get))

# %% [markdown]
# UCB1's width is right for coins that are nearly fair. Clicks at a rate of 0.05 vary far less, and the divergence
# $\mathrm{KL}$ knows that. Thompson sampling knows it as well, and adds no more doubt than the posterior has.
#
# Watch how the items are shown. The four on the left are the good ones.

# %%
ranks = np.argsort(-rare.attraction[0], kind="stable")
edges = np.unique(np.geomspace(10, T, 15).astype(int))
figure = plt.figure(figsize=(8.4, 2.9))


def draw(i):
    figure.clear()
    for j, (name, run) in enumerate(runs.items()):
        axes = figure.add_axes((0.07 + 0.31 * j, 0.16, 0.28, 0.66))
        window = run.slates[edges[i] : edges[i + 1]]
        share = np.bincount(window.ravel(), minlength=N)[ranks] * K / window.size
        axes.bar(range(N), share, color=[COLOURS[0]] * K + ["#b3b3b3"] * (N - K))
        axes.set(ylim=(0, 1), xticks=[], xlabel="items", title=name)
        tidy(axes)
        if j:
            axes.set_yticklabels([])
        else:
            axes.set_ylabel("share of lists")
    figure.suptitle(f"users {edges[i] + 1:,} to {edges[i + 1]:,}", fontsize=10)


animate(figure, draw, len(edges) - 1, per_second=2)

# %% [markdown]
# ## When every slot answers
#
# Elsewhere users look at the whole list and click whatever they like: `SemiBandit-v0`, *semi-bandit* feedback. CombUCB1
# is CascadeUCB1's index again, with an answer from every slot. Take the items of the first section (0.5 and 0.2). In
# 5,000 lists CascadeUCB1 gives about 3,600 of the 20,000 slots to items that are not good. **How many does CombUCB1?**

# %%
wasted = predict("Slots wasted by CombUCB1, of 20,000?", answer=None)

# %%
answers = {"only down to the click": popular, "every slot": semi_bandit(N, K, 0.5, 0.3, horizon=T)}
learners = CascadeUCB(B, 1, N, K), CombUCB1(B, N, K)
bad_slots = {}
for (name, world), learner in zip(answers.items(), learners, strict=True):
    slates = play_rounds(world, learner, B).slates  # (T, B, K)
    bad_slots[name] = (~good[slates]).sum() / B
print("\n".join(f"{name:24} {count:5,.0f} slots wasted" for name, count in bad_slots.items()))
wasted.reveal(bad_slots["every slot"])

# %% [markdown]
# The more attractive the list, the less a cascade tells of its lower end. It is the good lists that teach least.
#
# ## When nobody says who looked
#
# In `PositionBandit-v0` slot $k$ is looked at with probability $\theta_k = 1/k$, and a user clicks any number of items.
# A slot without a click was not looked at, *or* its item did not attract; nobody says which. And the order counts: the
# best item belongs on top. Three learners for lists of 5 out of 10:
#
# - *PBM-UCB* knows $\theta$, and divides an item's clicks by the number of users who should have looked.
# - *RankedBandits* has one UCB1 for each slot, which learns by itself what is best there.
# - *TopRank* compares items in pairs, by clicks in lists whose order it shuffles. It need not know $\theta$.
#
# **Which loses least, which most?**

# %%
rankers = ["PBM-UCB", "RankedBandits", "TopRank"]
ranking = predict("From the least to the most regret?", answer=None, choices=rankers)

# %%
H = 10_000
positions = position_bandit(num_items=10, slate_size=5, horizon=H)
learners = {
    "PBM-UCB": PBMUCB(20, 10, 5, positions.examination),
    "RankedBandits": RankedBandits(20, 10, 5),
    "TopRank": TopRank(20, 10, 5, H),
    "PBM-UCB, believes all look everywhere": PBMUCB(20, 10, 5, np.ones(5)),
}
curves = {name: play_rounds(positions, learner, 20).regret for name, learner in learners.items()}
ending = {name: curve[-1].mean() for name, curve in curves.items()}
ranking.reveal(sorted(rankers, key=ending.get))

# %%
figure, axes = plt.subplots(figsize=(6.8, 3.8), layout="constrained")
for name, curve in curves.items():
    draw_band(axes, np.arange(H)[::100], curve[::100], name)
axes.set(xlabel="users", ylabel="regret, in clicks", title="Ten items, five slots of which few see the last")
axes.legend(frameon=False)

# %% [markdown]
# PBM-UCB knows $\theta$. TopRank knows only that the better of two items is clicked more often in the same slot, and
# RankedBandits not even that: each of its slots learns about all items by itself.
#
# The fourth curve is PBM-UCB with a wrong click model, in which all slots are looked at. It is *better* at first,
# because it believes to have seen more and is bold. Later its runs differ widely (see the band), and on average it
# goes on losing: an item that once fell to the bottom gets few clicks there, and the model calls that its own fault.
#
# ## Many items
#
# Every learner so far starts each item from nothing. With 256 items in `LinearCascadeBandit-v0`, CascadeTS loses 358
# clicks in 2,000 lists. But here five features of every item are known, and attraction is linear in them. *CascadeLinTS*
# draws one vector of five weights from a posterior. **How many clicks does it lose?**

# %%
features = predict("Clicks lost by CascadeLinTS with 256 items?", answer=None)

# %%
sizes = [16, 64, 256]
by_size = {"CascadeTS": [], "CascadeLinTS": []}
for size in sizes:
    many = linear_cascade_bandit(num_items=size, slate_size=K, dimension=5, horizon=2000)
    agents = CascadeTS(50, 1, size, K), CascadeLinTS(50, many.features, K)
    for losses, agent in zip(by_size.values(), agents, strict=True):
        losses.append(play_rounds(many, agent, 50).regret[-1].mean())
features.reveal(by_size["CascadeLinTS"][-1])

# %%
figure, axes = plt.subplots(figsize=(6.0, 3.2), layout="constrained")
for colour, (name, losses) in zip(COLOURS, by_size.items(), strict=False):
    axes.plot(sizes, losses, "o-", color=colour, label=name)
axes.set_xscale("log")
axes.set_xticks(sizes, sizes)
axes.minorticks_off()
axes.set(xlabel="items", ylabel="clicks lost", title="After 2,000 lists", ylim=(0, None))
axes.legend(frameon=False)
tidy(axes)

# %% [markdown]
# With 16 items features hardly pay. With 256 they are everything.
#
# ## Your turn
#
# The answer to the question on top: in a cascade, which slots of a list say something about their item?


# %%
def observed(click, slate_size):
    """`click` is the clicked slot, counted from 0, or None; return `slate_size` times True or False."""
    raise NotImplementedError


slates_and_cascades.check_observed(observed)


# %% [markdown]
# In the position-based model, an item was shown `showings[k]` times in slot $k$, which is looked at with probability
# `examination[k]`. It was clicked `clicks` times in all. Estimate its attraction, as PBM-UCB does.


# %%
def attraction(clicks, showings, examination):
    """`clicks` is a number, `showings` and `examination` are arrays of K."""
    raise NotImplementedError


slates_and_cascades.check_attraction(attraction)

# %% [markdown]
# ## Where this fails
#
# Each of these learners believes in a click model, and each model is wrong in its own way: real users click twice, skip
# slots, and stop looking because they are tired. The error of the first section is small where clicks are rare, because
# then nearly everybody looks at everything: try 0.2 and 0.05 there. And all of this asks which list is best *now*. If a
# click changes the user, the best list now may be a bad one (notebook 8).

# %%
# What this notebook has shown, as numbers.
assert lost["all slots"] > 2 * lost["down to the click"]
assert np.allclose(believed["all slots"], 0.5 ** np.arange(1, 5), atol=0.04)
assert np.allclose(believed["down to the click"], 0.5, atol=0.04)
assert last["CascadeTS"] < 0.7 * last["CascadeKL-UCB"] < 0.4 * last["CascadeUCB1"]
assert 2 * bad_slots["every slot"] < bad_slots["only down to the click"]
assert ending["PBM-UCB"] < 0.6 * ending["TopRank"] < 0.4 * ending["RankedBandits"]
wrong = {name: (curve[-1] - curve[-1001]).mean() for name, curve in curves.items()}
assert wrong["PBM-UCB, believes all look everywhere"] > 2 * wrong["PBM-UCB"]
assert by_size["CascadeLinTS"][0] > 0.7 * by_size["CascadeTS"][0]
assert by_size["CascadeLinTS"][-1] < 0.3 * by_size["CascadeTS"][-1]
