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
# # 5. Adversaries
#
# **Why should a learner toss coins?**
#
# So far the world was indifferent: it drew its rewards and did not care who was learning. Fraudsters, competitors and
# users who game the system do care. Who knows what you will do next can arrange for it to be wrong. What can be
# promised then?

# %%
import matplotlib.pyplot as plt
import numpy as np

from recsim_env.agents.bandits.exp3 import Exp3
from recsim_env.agents.bandits.hedge import Hedge
from recsim_env.agents.bandits.ucb1 import UCB1
from recsim_env.agents.bandits.weighted_majority import WeightedMajority
from recsim_env.experiments.lessons import adversaries
from recsim_env.experiments.lessons.pictures import COLOURS, animate, draw_band, tidy
from recsim_env.experiments.lessons.predictions import predict
from recsim_env.experiments.matrix_game import equilibrium, exploitability, play_game
from recsim_env.experiments.rounds import play_rounds
from recsim_env.simulators.worlds.bernoulli_bandit import bernoulli_bandit
from recsim_env.simulators.worlds.expert_advice import expert_advice
from recsim_env.simulators.worlds.switching_bandit import switching_bandit

# %% [markdown]
# ## Whom to trust
#
# In `ExpertAdvice-v0` five experts say, every round, whether a user will like something. You follow one of them, and
# afterwards you see who was right, *whoever you followed*: this is *full feedback*. There is nothing to explore.
#
# *Weighted majority* gives every expert a weight, halves it at every mistake, and goes with the heavier side of the
# vote. *Hedge* has such weights too, but it follows **one expert drawn at random**, in proportion to them. With $L(a)$
# the number of mistakes of expert $a$ so far,
#
# $$p(a) = \frac{e^{-\eta L(a)}}{\sum_b e^{-\eta L(b)}}.$$

# %%
world = expert_advice(num_experts=5, best_error=0.2, gap=0.2, horizon=1000, world_seed=1)
T = 200
mistakes = np.vstack([np.zeros(5), np.cumsum(world.costs, axis=0)])[:T]  # (T, 5) before every round
halved = 0.5 ** (mistakes - mistakes.min(axis=1, keepdims=True))
hedge, drawn = Hedge(1, 5, horizon=1000), []
for t in range(T):
    drawn.append(hedge.probabilities()[0])
    hedge.learn(world.costs[t][None, :])
shares = {"weighted majority: share of the vote": halved / halved.sum(axis=1, keepdims=True)}
shares["Hedge: probability to be followed"] = np.array(drawn)
best = world.costs.sum(axis=0).argmin()

figure, both = plt.subplots(1, 2, figsize=(8.4, 3.2), sharey=True, layout="constrained")
for axes, (name, share) in zip(both, shares.items(), strict=True):
    for a in range(5):
        mine = (
            {"color": COLOURS[0], "lw": 2, "label": "the best expert"} if a == best else {"color": "#b3b3b3"}
        )
        axes.plot(share[:, a], **mine)
    axes.set(title=name, xlabel="round", ylim=(-0.02, 1.02))
    tidy(axes)
both[0].legend(frameon=False, loc="center right")

# %% [markdown]
# The best expert errs in a fifth of all rounds and the others in two fifths. Weighted majority decides fast, and may
# change its mind as fast. Hedge is tuned here to 1,000 rounds, and takes its time.
#
# ## Somebody who knows you
#
# Now an adversary writes down, before the first round, when each of three experts will be wrong. They are in two
# camps, which are wrong in turns, so every expert is right in 500 of 1,000 rounds.
#
# Take the learner that follows the majority of *those who erred least so far* (weighted majority with $\epsilon = 1$).
# **How often is it wrong in 1,000 rounds?**

# %%
wrong = predict("Mistakes of the majority of those who erred least, in 1,000 rounds?", answer=None)

# %%
B = 100
camps = expert_advice(num_experts=3, kind="adversary", horizon=1000)
learners = {
    "majority of those who erred least": WeightedMajority(B, 3, epsilon=1.0),
    "weighted majority, halving": WeightedMajority(B, 3, epsilon=0.5),
    "Hedge": Hedge(B, 3, horizon=1000),
}
errors = {}
for name, learner in learners.items():
    errors[name] = 1000 - play_rounds(camps, learner, B).reward.sum(axis=0).mean()
errors["the best expert"] = camps.best_cost()[-1]
print("\n".join(f"{name:34} {count:5.0f} mistakes" for name, count in errors.items()))
wrong.reveal(errors["majority of those who erred least"])

# %% [markdown]
# *Every single round.* Who has erred least errs next, and the learner walks into it a thousand times. This can be done
# to any learner that tosses no coin: its choice is known, so let the side that it takes be wrong. Halving is saved
# here by the coins that it tosses where the vote is even.
#
# Hedge cannot be caught like this. The adversary may know its probabilities, but not its draw. For *any* costs
#
# $$\text{mistakes of Hedge, on average} \;\le\; \text{mistakes of the best expert} + \sqrt{\tfrac12 T \ln N}.$$

# %%
bound = np.sqrt(1000 * np.log(3) / 2)
print(f"Hedge made {errors['Hedge'] - 500:.0f} mistakes more than the best expert (bound: {bound:.0f})")

# %% [markdown]
# ## Only your own reward
#
# A bandit sees what its own arm paid and nothing else. *Exp3* is Hedge all the same. What it does not see, it
# estimates: the cost of the arm that was pulled counts $1/p(a)$ times, that of the others 0. On average over the draw,
# this is the true cost of every arm.
#
# `SwitchingBandit-v0` has an adversary too, of the kind `adversary`. One arm is a *bait*: after a few good rounds, a
# fair coin. Another one is the *treasure*: it pays 1 in nearly all rounds, *but not when UCB1 looks*. UCB1 tosses no
# coins, so the rounds in which it will try another arm than the bait can be computed before the game begins.
#
# Three learners play 10,000 rounds: UCB1 as in the paper ($c = 2$ in $\sqrt{c \ln t / n}$), UCB1 with $c = 1$, and
# Exp3. **Who loses least, who loses most?**

# %%
names = ["UCB1, c = 2", "UCB1, c = 1", "Exp3"]
order = predict("From the least to the most regret?", answer=None, choices=names)

# %%
T, N = 10_000, 10
still, hostile = bernoulli_bandit(num_items=N, horizon=T), switching_bandit(kind="adversary", horizon=T)
makers = [lambda: UCB1(B, N), lambda: UCB1(B, N, exploration=1.0), lambda: Exp3(B, N)]
regret = {}
for place, arms in {"still": still, "hostile": hostile}.items():
    fixed = arms.fixed_regret()[1:, None] if place == "hostile" else 0.0
    for name, make in zip(names, makers, strict=True):
        regret[place, name] = play_rounds(arms, make(), B).regret - fixed
last = {key: curves[-1].mean() for key, curves in regret.items()}
order.reveal(sorted(names, key=lambda name: last["hostile", name]))

# %%
figure, both = plt.subplots(1, 2, figsize=(8.4, 3.4), layout="constrained")
places = {"still": "arms that stand still", "hostile": "arms made against UCB1 with c = 2"}
for axes, (place, title) in zip(both, places.items(), strict=True):
    for name in names:
        draw_band(axes, np.arange(T)[::100], regret[place, name][::100], name)
    axes.set(title=title, xlabel="round")
both[0].set_ylabel("regret against the best single arm")
both[1].legend(frameon=False)

# %% [markdown]
# On arms that stand still all three learn. In the hostile world UCB1 loses nearly half a unit in *every* round: it
# sits on the bait, looks at the treasure now and then, and finds it empty each time. Exp3's curve is flat.
#
# And UCB1 with $c = 1$ is the best of all! This adversary has learned one algorithm by heart. Change a constant, and
# you look in other rounds than it expects, and find the treasure. That is luck, not a guarantee: an adversary for
# $c = 1$ is written in the same way. Exp3 has the guarantee, $2\sqrt{TN \ln N}$ on average, against all of them.
#
# ## When both sides learn
#
# An attacker sends fake clicks through one of three channels, and the recommender inspects one of them. An attack on
# a channel that is not inspected does damage: 1.0 through *search*, 0.8 through *home*, 0.6 through *mail*. An attack
# that is inspected does none. Both choose at random: the recommender pays $p^\top C q$, the attacker earns it.
#
# An *equilibrium* is a pair $p$, $q$ that neither side can improve on alone. **Which channel is attacked most often in
# the equilibrium?**

# %%
channels = ["search", "home", "mail"]
target = predict("Which channel is attacked most often?", answer=None, choices=channels)

# %%
cost = np.array([1.0, 0.8, 0.6]) * (1 - np.eye(3))  # row: inspected, column: attacked
value, inspected, attacked = equilibrium(cost)
table = zip(channels, inspected, attacked, strict=True)
print("\n".join(f"{name:7} inspected in {p:.0%}, attacked in {q:.0%} of rounds" for name, p, q in table))
target.reveal(channels[attacked.argmax()])

# %% [markdown]
# The cheapest one! The recommender guards what is dear. It inspects so that all three attacks earn the same (0.51),
# and the attacker goes where the guard is not.
#
# But how do they get there? Let both use Hedge, each against what the other does. Nobody solves any equation. On the
# left are the recommender's probabilities, on the right the attacker's: a corner means "always this channel".

# %%
game = play_game(cost, 2000)
CORNERS = np.array([[0.5, 0.9], [0.0, 0.0], [1.0, 0.0]])
sides = {"recommender": (game.rows, inspected), "attacker": (game.columns, attacked)}
figure = plt.figure(figsize=(8.0, 3.6), layout="constrained")


def draw(i):
    figure.clear()
    t = 50 * (i + 1)
    for axes, (name, (played, balance)) in zip(figure.subplots(1, 2), sides.items(), strict=True):
        path = played[:t] @ CORNERS
        average = np.cumsum(path, axis=0) / np.arange(1, t + 1)[:, None]
        axes.fill(*CORNERS.T, fill=False, ec="#999999")
        axes.plot(*path[-300:].T, color=COLOURS[1], lw=1.2)
        axes.plot(*path[-1], "o", color=COLOURS[1], label="now")
        axes.plot(*average.T, color=COLOURS[0], lw=1.2)
        axes.plot(*average[-1], "o", color=COLOURS[0], label="average so far")
        axes.plot(*(balance @ CORNERS), "k*", ms=11, label="equilibrium")
        for (x, y), word in zip(CORNERS, channels, strict=True):
            axes.text(x, y + (0.03 if y else -0.03), word, ha="center", va="bottom" if y else "top")
        axes.set(xlim=(-0.1, 1.1), ylim=(-0.12, 1.05), title=f"{name}, round {t}")
        axes.set_axis_off()
    axes.legend(frameon=False, loc="upper right", bbox_to_anchor=(1.12, 1.02), fontsize=8)


animate(figure, draw, 40, per_second=6)

# %%
late = slice(1500, 2000)
distance = np.abs(game.rows[late] - inspected).max(axis=1).max()
average_distance = np.abs(game.rows.mean(axis=0) - inspected).max()
gain = exploitability(cost, *game.average())
print(
    f"farthest from the equilibrium in the last 500 rounds: {distance:.3f}\n"
    f"the average of all rounds: {average_distance:.3f}\n"
    f"what both together could still gain against the average play: {gain:.4f} a round"
)

# %% [markdown]
# The strategies run round and round and do not settle: each chases what the other did (the orange trail is the last 300 rounds). Their *averages* come to the
# equilibrium. That is no accident. If the regrets of the two after $T$ rounds are $R_1$ and $R_2$, nobody gains more
# than $(R_1 + R_2)/T$ by leaving the average play, and Hedge's regret grows like $\sqrt T$.
#
# ## Your turn
#
# Write the probabilities of Hedge.


# %%
def hedge_probabilities(costs, rate):
    """`costs` is an array of N costs so far; return N probabilities."""
    raise NotImplementedError


adversaries.check_hedge(hedge_probabilities)


# %% [markdown]
# Arm `arm` was drawn with the probabilities `p` and paid `reward`. What did *every* arm cost, by the estimate of Exp3?


# %%
def estimated_costs(arm, reward, p):
    """Return an array of N costs; a cost is 1 - reward."""
    raise NotImplementedError


adversaries.check_estimated_costs(estimated_costs)

# %% [markdown]
# ## Where this fails
#
# Exp3's guarantee is about the average run, and single runs differ widely. It is also about the best *single* arm: if
# the best arm changes with the seasons, no single arm is any good, and it is better to forget (notebook 10). And our
# adversaries wrote everything down beforehand. One who watches you and reacts can make regret mean little: the best
# arm in hindsight might have been answered with other costs, had you pulled it.

# %%
# What this notebook has shown, as numbers.
assert errors["majority of those who erred least"] == 1000
assert 700 < errors["weighted majority, halving"] < 800
assert errors["Hedge"] - 500 < bound
assert last["hostile", "UCB1, c = 2"] > 0.4 * T
assert last["hostile", "UCB1, c = 1"] < last["hostile", "Exp3"] < 0.1 * last["hostile", "UCB1, c = 2"]
assert max(last["still", name] for name in names) < 500
assert np.allclose([inspected, attacked], [[23 / 47, 17 / 47, 7 / 47], [12 / 47, 15 / 47, 20 / 47]])
assert distance > 0.15
assert average_distance < 0.02
assert gain <= sum(r[-1] for r in game.regrets()) / 2000 + 1e-9
