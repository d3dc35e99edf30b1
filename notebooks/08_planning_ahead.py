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
# # 8. Planning ahead
#
# **Is the best slate now the best slate?**
#
# A bandit asks which slate earns most *in this round*. But a click can change the user: clickbait is clicked, and
# then the user is a little more tired of it. Who only looks at the next click never sees what that costs.

# %%
import matplotlib.pyplot as plt
import numpy as np

from recsim_env.agents.bandits.cascade_ts import CascadeTS
from recsim_env.agents.tabular.cascading_vi import CascadingVI
from recsim_env.experiments.lessons import planning_ahead
from recsim_env.experiments.lessons.pictures import COLOURS, animate, draw_band, tidy
from recsim_env.experiments.lessons.predictions import predict
from recsim_env.experiments.rounds import play_episodes
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.engagement_ladder import engagement_ladder

# %% [markdown]
# ## A ladder of engagement
#
# `CascadeRec-v0` is a user on a ladder of ten rungs. The higher they stand, the more they click anything. Half of
# the items are *bait*: they attract most, and a click usually leads a rung **down**. The others are *quality*: they
# attract less, and a click usually leads **up**. An episode is 20 slates.

# %%
world = engagement_ladder()
rung = 5
items = np.argsort(-world.attraction[rung])
up = np.array([world.transition[rung, a, rung + 1] for a in items])
down = np.array([world.transition[rung, a, rung - 1] for a in items])
for a, rises, falls in zip(items, up, down, strict=True):
    kind = "quality" if rises > falls else "bait"
    print(f"item {a:2}  attracts {world.attraction[rung, a]:.2f}   {kind}")

# %% [markdown]
# A *myopic* policy knows all of this and shows the three items that earn most now. The *optimal* policy plans to
# the end of the episode. **The myopic policy gets 9.0 clicks an episode. How many does the optimal one get?**

# %%
clicks = predict("Clicks an episode of the optimal policy?", answer=None)

# %%
optimal = world.mean_start_value(world.optimal_values())
myopic = world.mean_start_value(world.policy_values(world.myopic_policy()))
print(f"myopic {myopic:.2f}")
clicks.reveal(optimal)

# %% [markdown]
# These are not averages of simulations. The world is small enough to be *planned in*, backwards from the last
# slate (Bellman):
#
# $$w_h(s,a) = r(s,a) + \sum_{s'} p(s' \mid s,a)\, V_{h+1}(s'), \qquad V_h(s) = \max_A f(A;\, q(s,\cdot),\, w_h(s,\cdot)),$$
#
# where $f$ is the cascade of notebook 1, with worths $w$ in place of rewards and one more thing to happen at the end:
# no click, which is worth $w_h(s,\bot)$. The maximum is over all ordered lists, and yet it takes a sort and a small
# dynamic programme (Du, Srikant and Chen, 2024): items in falling order of $w$, and none that is worth less than
# no click.
#
# ## Where the users go
#
# Two thousand users under each policy. Watch where they stand after every slate.

# %%
B = 2000
luck = Luck.from_seeds(np.arange(B))
places = {"myopic": [], "optimal": []}
for name, seen in places.items():
    state = world.begin(luck)
    for h in range(world.horizon):
        seen.append(np.bincount(state.user_state, minlength=10) / B)
        myopic_slates = world.myopic_policy()[state.user_state]
        slates = world.best_slate(state) if name == "optimal" else myopic_slates
        state, _ = world.respond(state, slates, luck.at(h))

figure = plt.figure(figsize=(6.4, 3.4), layout="constrained")


def draw(h):
    figure.clear()
    axes = figure.add_subplot()
    for i, (name, seen) in enumerate(places.items()):
        axes.bar(np.arange(10) + 0.4 * i - 0.2, seen[h], 0.38, color=COLOURS[1 - i], label=name)
    axes.set(ylim=(0, 1), xlabel="rung", ylabel="share of users", title=f"after {h} slates")
    axes.legend(frameon=False, loc="upper center")
    tidy(axes)


animate(figure, draw, world.horizon, per_second=3)

# %% [markdown]
# The myopic policy wears its users out. In the last few slates the optimal one shows bait as well: why not?
#
# ## Learning to plan
#
# So far everybody knew the world. A learner does not. We let two of them play a smaller ladder, twenty replicates
# each: a Thompson bandit with a table for every rung, which learns what attracts and does not plan, and
# *CascadingVI*, which also learns where clicks lead, and plans with optimism about what it does not know yet.
#
# **After how many episodes has the planner lost less than the bandit, in all?**

# %%
crossing = predict("After how many episodes does the planner overtake the bandit?", answer=None)

# %%
small = engagement_ladder(num_states=5, num_items=6, slate_size=2, horizon=10)
B, E = 20, 800
regret = {
    "bandit (CascadeTS)": play_episodes(small, CascadeTS(B, 5, 6, 2), B, E),
    "planner (CascadingVI)": play_episodes(small, CascadingVI(B, 5, 6, 2, 10, E, 0.1), B, E),
}

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for name, curves in regret.items():
    draw_band(axes, np.arange(1, E + 1), curves, name)
axes.set(xlabel="episode", ylabel="regret, in clicks", title="What was lost against the optimal policy")
axes.legend(frameon=False)
bandit, planner = (curves.mean(axis=1) for curves in regret.values())
behind = np.flatnonzero(planner > bandit)
crossing.reveal(int(behind[-1]) + 2)

# %% [markdown]
# The bandit is quick: there is less to learn. But what it converges to is the myopic policy, and so its regret
# grows along a straight line, for ever. The planner pays more at first, and stops paying.
#
# ## Your turn
#
# Write the value of a list, with a worth for every item and one for no click.


# %%
def value_of_list(attraction, worth, worth_of_no_click):
    """`attraction` and `worth` are arrays of K numbers, of the items from the top."""
    raise NotImplementedError


planning_ahead.check_value_of_list(value_of_list)


# %% [markdown]
# Now one step of Bellman's equation for a single item that is shown alone in each of $S$ states: $q$, $r$ are (S,),
# $p$ is (S, S) after a click, the user stays where they are without one, and $V$ is (S,) the value from the next step on.


# %%
def backup(q, r, p, V):
    """Return (S,) the value of showing the item now."""
    raise NotImplementedError


planning_ahead.check_backup(backup)

# %% [markdown]
# ## Where this fails
#
# The planner counts every rung, item and successor by itself. With a thousand items and users who are vectors and
# not rungs it would never have seen enough. What then? Features instead of tables (notebook 6), or a model of what
# users do that is fitted to a log and planned in; `recsim-env calibrate` makes one. And if the myopic loss is one per
# cent, as in the grocery log that comes with this package, do not plan at all.

# %%
# What this notebook has shown, as numbers.
assert round(optimal, 2) == 11.04
assert round(myopic, 2) == 9.01
assert places["myopic"][-1][:3].sum() > 2 * places["optimal"][-1][:3].sum()
assert planner[-1] < 0.7 * bandit[-1]
assert 100 <= behind[-1] <= 600
