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
# # 1. First slate and click
#
# **Does it matter which item stands on top?**
#
# A recommender shows a short list, a *slate*. A user looks down it and clicks, or does not. Everything else in
# this course is built on that one moment, so we begin by watching it.

# %%
import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np

import recsim_env  # noqa: F401 - registers the environments
from recsim_env.experiments.lessons import first_slate
from recsim_env.experiments.lessons.pictures import COLOURS, animate, tidy
from recsim_env.experiments.lessons.predictions import predict
from recsim_env.simulators.luck import Luck
from recsim_env.user_models.clicks import Cascade

# %% [markdown]
# ## One user
#
# An environment is one user. `reset` begins a visit, `step` shows a slate of three items and says what the user
# did: which slots they *examined* (looked at), which they clicked, and the reward.

# %%
env = gym.make("CascadeRec-v0", slate_size=3, render_mode="rgb_array").unwrapped
observation, _ = env.reset(seed=4)
print("the user's state:", observation["state"])
observation, reward, _, _, info = env.step(np.array([9, 4, 5]))
print("examined:", info["examined"], " clicked:", info["clicked"], " reward:", reward)

# %% [markdown]
# The same user for eight slates, chosen at random. The eye on the left goes down the slate and stops at the
# first item that attracts: this is the *cascade* model of clicks (Craswell et al., 2008).

# %%
env.reset(seed=4)
env.action_space.seed(1)
frames = []
for _ in range(8):
    env.step(env.action_space.sample())
    frames.append(env.render())

figure = plt.figure(figsize=(7.2, 4.8))


def draw(i):
    figure.clear()
    picture = figure.add_axes((0, 0, 1, 1))
    picture.imshow(frames[i])
    picture.set_axis_off()


animate(figure, draw, len(frames), per_second=0.7)

# %% [markdown]
# ## Many users
#
# Suppose every item attracts with probability 0.5, whoever looks at it. In the cascade model, the user examines
# slot $k$ only if nothing above it attracted:
#
# $$P(\text{click at } k) = q_k \prod_{j<k} (1 - q_j).$$
#
# Before you compute anything: **what share of users clicks the third of three such items?**

# %%
third = predict("What share of users clicks the third item?", answer=None)

# %%
clicks = Cascade()
attraction = np.full((100_000, 3), 0.5)
u = Luck.from_seeds(np.arange(100_000)).uniform("click", (clicks.draws_per_slot, 3))
response = clicks.sample(attraction, u)
share = response.clicked.mean(axis=0)
third.reveal(share[2])

# %% [markdown]
# The three items are equally good, and yet the first is clicked four times as often as the third: not because it
# is better, but because it is *seen*. A log of clicks that is read without this in mind says that the first item
# is the best. That mistake is called **position bias**.

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
for k, (name, values) in enumerate({"examined": response.examined, "clicked": response.clicked}.items()):
    axes.bar(np.arange(3) + 0.4 * k - 0.2, values.mean(axis=0), 0.36, color=COLOURS[k], label=name)
axes.set_xticks(range(3), ["slot 1", "slot 2", "slot 3"])
axes.set_ylabel("share of users")
axes.set_title("Three equally attractive items")
axes.legend(frameon=False)
tidy(axes)

# %% [markdown]
# ## The order of the list
#
# Now three unequal items, with attractions 0.1, 0.3 and 0.6. **Which order gets a click from most users: best
# first, best last, or is it all the same?**

# %%
order = predict(
    "Which order is clicked by most users?", answer=None, choices=["best first", "best last", "all the same"]
)

# %%
best_first = clicks.click_prob(np.array([[0.6, 0.3, 0.1]])).sum()
best_last = clicks.click_prob(np.array([[0.1, 0.3, 0.6]])).sum()
print(f"best first: {best_first:.3f}   best last: {best_last:.3f}")
order.reveal("all the same")

# %% [markdown]
# A user clicks nothing only if *no* item attracts, and $\prod_k (1 - q_k)$ does not depend on the order. What
# depends on it is *which* item is clicked. That matters as soon as clicks are not all worth the same: if some
# items pay more, or lead the user to a better mood. Notebook 8 is about that.
#
# ## Your turn
#
# Write the probability of a click at every slot, for one list. The check says what is wrong.


# %%
def click_probabilities(attraction):
    """`attraction` is a list of K numbers; return K probabilities, of a click at each slot."""
    raise NotImplementedError


first_slate.check_click_probabilities(click_probabilities)


# %% [markdown]
# A click on item $a$ pays $w_a$. Write the expected reward of a list, and use it to find by hand which order of
# the items $q = (0.5, 0.4, 0.9)$, $w = (2, 1.5, 1)$ earns most. (There are six. And must all three be shown?)


# %%
def expected_reward(attraction, worth):
    """Lists of K numbers each: the attraction of the item in each slot, and what a click on it pays."""
    raise NotImplementedError


first_slate.check_expected_reward(expected_reward)

# %% [markdown]
# ## Where this fails
#
# Real users click twice, or skip around, or look at the third slot because it has a picture. The package has
# other click models (`recsim_env.user_models.clicks`), each of which can be fitted to a log; notebook 9 shows
# what happens to an estimate that believes in the wrong one.

# %%
# What this notebook has shown, as numbers.
assert np.allclose(share, [0.5, 0.25, 0.125], atol=0.006)
assert np.isclose(best_first, best_last)
assert np.isclose(best_first, 1 - 0.4 * 0.7 * 0.9)
