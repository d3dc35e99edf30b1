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
# # 10. Users who remember and drift
#
# **What is last year's click worth today?**
#
# Every learner so far treated an old click like a new one. But users change: they remember what they played this
# morning, get enough of it, and next spring like something else. How fast should a recommender forget?

# %%
import matplotlib.pyplot as plt
import numpy as np

from recsim_env.agents.bandits.cascade_counts import highest
from recsim_env.experiments.lessons import remember_and_drift
from recsim_env.experiments.lessons.pictures import COLOURS, animate, tidy
from recsim_env.experiments.lessons.predictions import predict
from recsim_env.experiments.rounds import play_rounds
from recsim_env.simulators.worlds.interest_drift import interest_drift
from recsim_env.user_models.memory.actr import base_level_activation

# %% [markdown]
# ## What comes to mind again
#
# In ACT-R, a theory of human memory (Anderson et al., 2004), each time something is used leaves a trace that fades as
# a *power* of its age, and the traces add up. The *base-level activation* of a song played at ages $t_1, t_2, \dots$ is
#
# $$B = \ln \sum_j t_j^{-d}, \qquad d = 0.5.$$
#
# Song A was played once, an hour ago. Song B was played ten times, once a day, and the last time was 24 hours ago.
# **Which of the two comes to mind more easily?**

# %%
stronger = predict("Which song is stronger now?", answer=None, choices=["A", "B"])

# %%
song_a = base_level_activation(np.array([1.0]))
song_b = base_level_activation(24.0 * np.arange(1, 11))
print(f"A: {song_a:.2f}   B: {song_b:.2f}")
stronger.reveal("B" if song_b > song_a else "A")

# %%
hours = np.linspace(0.2, 400, 2000)
plays = {"A, once": [100.0], "B, ten times": 100.0 + 12.0 * np.arange(10)}
figure, axes = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
for colour, (name, times) in zip(COLOURS, plays.items(), strict=False):
    ages = hours[:, None] - np.array(times)
    activation = base_level_activation(np.where(ages > 0.1, ages, np.inf))
    axes.plot(hours, activation, color=colour, label=name)
axes.set(xlabel="hour", ylabel="activation", title="A song fades fast, then slowly")
axes.legend(frameon=False)
tidy(axes)

# %% [markdown]
# A near tie: ten days of a daily habit are as strong a day later as one song is an hour later. And what happens next
# is not alike. A hundred hours after it was last played, song B still comes to mind more easily than A did after a few: repetition
# makes memories last. `RepeatListen-v0` is a listener with such a memory.
#
# ## Interests move
#
# In `InterestDrift-v0` the interest of a user in every topic is a smooth random path (a Gaussian process): nearly the
# same tomorrow, and after a *length scale* of, say, 30 days, only partly related. Here is one user.

# %%
world = interest_drift(
    length_scale=30.0, num_items=100, slate_size=5, clicks="position_based", dimension=6, num_categories=12,
    num_users=300, sharpness=4.0, intercept=-3.0, mean_gap=1.0, horizon=150,
)  # fmt: skip
days = np.linspace(0, 180, 61)
path = world.interest_at(np.zeros(61, np.int64), days)  # (61, 6)
reach = np.abs(path).max()
figure = plt.figure(figsize=(6.4, 3.2), layout="constrained")


def draw(i):
    figure.clear()
    axes = figure.add_subplot()
    axes.bar(range(6), path[0], color="#d9d9d9", width=0.8, label="on day 0")
    axes.bar(range(6), path[i], color=COLOURS[0], width=0.5, label="now")
    axes.set(
        ylim=(-reach, 1.3 * reach), ylabel="interest", xlabel="direction of taste", title=f"day {days[i]:.0f}"
    )
    axes.legend(frameon=False, loc="upper right", ncols=2)
    tidy(axes)


animate(figure, draw, len(days), per_second=8)

# %% [markdown]
# ## A learner with a half-life
#
# This learner adds up the features of what was clicked, less those of what was seen and not clicked. Before every
# visit it lets what it has learned fade, so that a click of `half_life` days ago counts half. A little noise keeps it
# exploring.


# %%
class Forgetful:
    def __init__(self, users, features, half_life):
        self.features, self.half_life = features, half_life
        self.liked, self.seen = np.zeros((users, features.shape[1])), np.zeros(users)

    def act(self, observation, luck):
        keep = 0.5 ** (observation["days_away"][:, 0] / self.half_life)
        self.liked, self.seen = self.liked * keep[:, None], self.seen * keep
        taste = self.liked / np.sqrt(1.0 + self.seen)[:, None]
        noise = 0.5 * luck.normal("explore", (len(self.features),))
        return highest(taste @ self.features.T + noise, 5)

    def update(self, step):
        surprise = (step.clicked - 0.25) * step.examined
        self.liked += np.einsum("bk,bkd->bd", surprise, self.features[step.slates])
        self.seen += step.examined.sum(axis=1)


# %% [markdown]
# Users come about once a day, 150 times, and their interests have a length scale of 30 days. **Which half-life, in
# days, loses least?** (Candidates are 1, 3, 10, 30, 100, 1000.)

# %%
best_half_life = predict("The best half-life, in days?", answer=None)

# %%
half_lives, scales = [1, 3, 10, 30, 100, 1000], [10.0, 30.0, 100.0, np.inf]
features = world.catalogue.features.astype(float)
lost = np.empty((len(scales), len(half_lives)))
for i, scale in enumerate(scales):
    drifting = interest_drift(
        length_scale=scale, num_items=100, slate_size=5, clicks="position_based", dimension=6,
        num_categories=12, num_users=300, sharpness=4.0, intercept=-3.0, mean_gap=1.0, horizon=150,
    )  # fmt: skip
    for j, half_life in enumerate(half_lives):
        played = play_rounds(drifting, Forgetful(300, features, half_life), 300)
        lost[i, j] = played.regret[-1].mean() / 150
best_half_life.reveal(half_lives[lost[1].argmin()])

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for i, scale in enumerate(scales):
    name = "they never change" if scale == np.inf else f"length scale {scale:.0f} days"
    axes.semilogx(half_lives, lost[i], "o-", color=COLOURS[i], label=name)
axes.set(xlabel="half-life of what is learned, in days", ylabel="clicks lost a visit")
axes.set_title("The faster users change, the sooner to forget")
axes.legend(frameon=False)
tidy(axes)

# %% [markdown]
# Both ends are wrong, for opposite reasons. Who forgets within a day never has enough clicks to know anything
# (*variance*); who never forgets knows exactly what the user liked on average over half a year (*bias*). The bottom of
# the curve moves to the left as users change faster. The same trade-off is why sliding-window bandits exist.
#
# ## Your turn
#
# Write the base-level activation yourself.


# %%
def activation(ages, decay):
    """`ages` is an array of times since each use."""
    raise NotImplementedError


remember_and_drift.check_activation(activation)


# %% [markdown]
# Estimate how often a user clicks *now*: the average of their clicks, in which one of age $t$ has the weight
# $0.5^{\,t / \text{half-life}}$.


# %%
def click_rate_now(clicked, ages, half_life):
    """`clicked` is an array of 0 and 1, `ages` how long ago each was."""
    raise NotImplementedError


remember_and_drift.check_click_rate_now(click_rate_now)

# %% [markdown]
# ## Where this fails
#
# One half-life for everybody and everything is itself a wrong model: taste in music may drift over years and the need
# for a winter coat over weeks. And users also change *because of* what they are shown: they get bored of a topic
# (`BoredUser-v0`), or learn to like it. Then forgetting is not enough, and one has to plan (notebook 8).

# %%
# What this notebook has shown, as numbers.
best = [half_lives[j] for j in lost.argmin(axis=1)]
assert best[0] < best[1] < best[3] == 1000
assert lost[1, 0] > 1.3 * lost[1].min()
assert lost[1, -1] > 1.2 * lost[1].min()
assert 0 < song_b - song_a < 0.1
