"""Generated logs are what the environment does, their propensities are exact, and memory stays flat."""

import random
import resource
import signal
import subprocess
import sys
import time
from itertools import permutations, product
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.cascade_ts import CascadeTS
from recsim_env.agents.baselines.logging_policies import EpsilonGreedySlates, PlackettLuceSlates
from recsim_env.agents.baselines.random_slates import RandomSlates, shown_first
from recsim_env.envs.describe import registered_ids
from recsim_env.errors import InputError
from recsim_env.experiments import log_command
from recsim_env.experiments.agents import AGENTS
from recsim_env.experiments.cli import main
from recsim_env.experiments.env_args import parameters, world_of
from recsim_env.experiments.log_agents import (
    IN_ANY,
    IN_CASCADES,
    LOG_AGENTS,
    WHERE_ITEMS_ATTRACT,
    log_agent,
)
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_files import read_log, write_logs
from recsim_env.simulators.log_generation import POLICY_LUCK, generate_log, put
from recsim_env.simulators.log_replay import replay
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.engagement_ladder import engagement_ladder
from recsim_env.simulators.worlds.world import HasArms, Outcome

S, N, K, H = 3, 5, 2, 4
WORLD = engagement_ladder(S, N, K, H)
POLICIES = {
    "random": RandomSlates(N, K),
    "epsilon": EpsilonGreedySlates(WORLD.optimal_policy, N, 0.3),
    "plackett_luce": PlackettLuceSlates(np.random.default_rng(0).normal(size=(S, N)), K),
}


class Leaving:
    """The ladder with users who leave with what they clicked: episodes of different lengths."""

    num_items, slate_size, horizon = N, K, H
    begin, observe = staticmethod(WORLD.begin), staticmethod(WORLD.observe)

    def respond(self, state: Any, slates: Any, luck: Luck) -> tuple[Any, Outcome]:
        state, outcome = WORLD.respond(state, slates, luck)
        return state, outcome._replace(left=outcome.response.clicked[:, 0])


def whole(*args: Any, **options: Any) -> Log:
    pieces = [piece.columns() for piece in generate_log(*args, **options)]
    return Log.sorted(**{name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]})


def assert_same_rows(some: Log, log: Log) -> None:
    """The rows of `some` stand in `log` under the same seed, episode and step."""
    place = {key: row for row, key in enumerate(keys(log))}
    rows = np.array([place[key] for key in keys(some)])
    for name, column in some.columns().items():
        if name not in ("user", "metadata"):
            assert_array_equal(column, log.columns()[name][rows], strict=True)


def keys(log: Log) -> list[tuple[int, ...]]:
    return list(zip(*(log.require(name).tolist() for name in ("seed", "episode", "step")), strict=True))


@pytest.mark.parametrize("world", [WORLD, Leaving()])
@pytest.mark.parametrize("name", POLICIES)
def test_the_log_does_not_depend_on_batch_or_pieces(world: Any, name: str) -> None:
    log = whole(world, POLICIES[name], 11, num_users=30, seed=4)
    assert len(set(keys(log))) == len(log) == 330
    for options in ({"num_users": 30, "piece_rows": 1}, {"num_users": 30, "piece_rows": 95}):
        assert_same_rows(whole(world, POLICIES[name], 11, seed=4, **options), log)
    assert_same_rows(whole(world, POLICIES[name], 11, num_users=1, seed=17), log)
    assert_same_rows(whole(world, POLICIES[name], 3, num_users=8, seed=9), log)


@pytest.mark.parametrize("name", POLICIES)
def test_recogym_a_log_made_twice_is_the_same(name: str) -> None:
    """RecoGym's logs of one seed differ, "it isn't clear why"; global generators have no say in ours."""
    first = whole(WORLD, POLICIES[name], 11, num_users=30, seed=4)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    again = whole(WORLD, POLICIES[name], 11, num_users=30, seed=4)
    for column, values in first.columns().items():
        assert_array_equal(values, again.columns()[column], strict=True)
    other = whole(WORLD, POLICIES[name], 11, num_users=30, seed=1004)
    assert (first.clicked != other.clicked).any()


def test_the_log_is_what_the_environment_does() -> None:
    """SAME_STEP, whose slates are the policy's under its own luck."""
    policy, B, steps = POLICIES["plackett_luce"], 6, 10
    log = whole(WORLD, policy, steps, num_users=B, seed=3)
    env = gym.make_vec(
        "CascadeRec-v0", B, num_states=S, num_items=N, slate_size=K, horizon=H,
        autoreset_mode=AutoresetMode.SAME_STEP,
    )  # fmt: skip
    observation, _ = env.reset(seed=3)
    luck = Luck.from_seeds([POLICY_LUCK + 3 + b for b in range(B)])
    for t in range(steps):
        slates = policy.act(observation, luck.of_episode(t // H).at(t % H))
        rows = np.arange(B) * steps + t
        assert_array_equal(log.slate[rows], slates)
        assert_array_equal(log.attraction[rows], WORLD.attraction[observation["state"][:, None], slates])
        observation, reward, _, truncated, info = env.step(slates)
        info = info["final_info"] if truncated.any() else info
        assert_array_equal(log.clicked[rows], info["clicked"])
        assert_array_equal(log.examined[rows], info["examined"])
        assert_array_equal(log.reward[rows], reward)
        assert_array_equal(log.time[rows], t)
        assert_array_equal(log.step[rows], t % H)
        assert_array_equal(log.episode[rows], t // H)
    assert_array_equal(log.user, np.repeat(np.arange(B), steps))
    assert_array_equal(log.seed, np.repeat(np.arange(3, 3 + B), steps))


def test_users_who_leave_begin_anew() -> None:
    log = whole(Leaving(), POLICIES["random"], 40, num_users=20)
    over = log.clicked[:, 0] | (log.step == H - 1)
    same_user = log.user[1:] == log.user[:-1]
    assert_array_equal(log.step[1:][same_user], np.where(over, 0, log.step + 1)[:-1][same_user])
    assert_array_equal(np.diff(log.episode)[same_user], over[:-1][same_user])
    assert log.attraction is None  # this world does not tell


ALL_LISTS = np.array(list(product(range(-1, N), repeat=K)))  # also impossible ones


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("state", range(S))
@pytest.mark.parametrize("step", [0, 3])
def test_propensities_sum_to_one_and_are_met_by_frequencies(name: str, state: int, step: int) -> None:
    policy = POLICIES[name]

    def seen(B: int) -> dict[str, Any]:
        return {"state": np.full(B, state), "step": np.full(B, step)}

    by_slot = policy.log_propensities(seen(len(ALL_LISTS)), ALL_LISTS)
    assert by_slot.shape == ALL_LISTS.shape
    probability = np.exp(by_slot.sum(axis=1))
    assert_allclose(probability.sum(), 1.0, atol=1e-12)
    possible = np.isin(ALL_LISTS @ [N + 1, 1], np.array(list(permutations(range(N), K))) @ [N + 1, 1])
    assert ((probability > 0) == possible).all()
    n = 40_000
    slates = policy.act(seen(n), Luck.from_seeds(np.arange(n)).at(step))
    place = (slates[:, :, None] == np.arange(-1, N)).argmax(axis=2) @ [N + 1, 1]
    counts = np.bincount(place, minlength=len(ALL_LISTS))
    assert counts[~possible].sum() == 0
    assert stats.chisquare(counts[possible], n * probability[possible]).pvalue > 1e-4


@pytest.mark.parametrize(
    "policy",
    [
        EpsilonGreedySlates(lambda state: state["lists"], N, 0.3),
        PlackettLuceSlates(lambda state: state["scores"], K),
    ],
)
def test_functions_of_the_state_are_policies_as_tables_are(policy: Any) -> None:
    rng = np.random.default_rng(4)
    lists, scores = np.argsort(rng.random((S, N)), axis=1)[:, :K], rng.normal(size=(S, N))
    table: Any = (
        EpsilonGreedySlates(lists, N, 0.3) if hasattr(policy, "epsilon") else PlackettLuceSlates(scores, K)
    )
    observation = {"state": rng.integers(0, S, 500), "step": np.zeros(500, int)}
    policy.see({"lists": lists[observation["state"]], "scores": scores[observation["state"]]})
    slates = policy.act(observation, Luck.from_seeds(range(500)))
    assert_array_equal(slates, table.act(observation, Luck.from_seeds(range(500))))
    by_slot = policy.log_propensities(observation, slates)
    assert_array_equal(by_slot, table.log_propensities(observation, slates))
    with pytest.raises(InputError, match=r"policy must hold full lists|slate_size must be from 1 to N = 1"):
        policy.see({"lists": np.array([[2, -1]]), "scores": np.zeros((1, 1))})


def test_propensities_by_hand() -> None:
    none = {"state": np.zeros(4, int), "step": np.zeros(4, int)}
    slates = np.array([[0, 1], [1, 0], [2, 0], [2, 2]])
    scores = np.log(np.array([[4.0, 2.0, 1.0, 1.0, 1.0]]))
    with np.errstate(divide="ignore"):
        assert_allclose(
            PlackettLuceSlates(scores, 2).log_propensities(none, slates),
            np.log([[4 / 9, 2 / 5], [2 / 9, 4 / 7], [1 / 9, 4 / 8], [1 / 9, 0]]),
        )
        assert_allclose(
            EpsilonGreedySlates(np.array([[0, 1]]), 5, 0.5).log_propensities(none, slates),
            np.log([[0.6, 0.625], [0.1, 0.625], [0.1, 0.625], [0.1, 0]]),
        )
    sure = PlackettLuceSlates(1000 * scores, 2).log_propensities(none, slates)  # no overflow
    assert np.isfinite(sure[:3]).all()


def test_the_compiled_loops_do_what_numpy_does() -> None:
    rng = np.random.default_rng(2)
    slates = rng.integers(-1, 4, (200, 4))
    plain = [[a >= 0 and a not in row[:k] for k, a in enumerate(row)] for row in slates.tolist()]
    for layout in (slates, np.asfortranarray(slates)):
        assert_array_equal(shown_first(layout), plain)
        column, expected = np.zeros((200, 3, 4)), np.zeros((200, 3, 4))
        put(column, 1, layout)
        expected[:, 1] = slates
        assert_array_equal(column, expected)


def test_the_extremes_of_epsilon_greedy() -> None:
    seen = {"state": np.zeros(500, int), "step": np.zeros(500, int)}
    luck = Luck.from_seeds(np.arange(500))
    nearly = EpsilonGreedySlates(np.array([[3, 0, 2]]), 4, 1e-12)
    assert (nearly.act(seen, luck) == [3, 0, 2]).all()
    always = EpsilonGreedySlates(np.array([[3, 0, 2]]), 4, 1.0)
    assert_allclose(
        always.log_propensities(seen, nearly.act(seen, luck)),
        RandomSlates(4, 3).log_propensities(seen, nearly.act(seen, luck)),
    )


@pytest.mark.parametrize("name", POLICIES)
def test_importance_sampling_finds_the_exact_value_of_another_policy(name: str) -> None:
    """IPS on whole episodes, E[prod_t pi(A_t) / P(A_t) * return], against `policy_values`."""
    world = engagement_ladder(S, N, K, horizon=2)
    logging = {**POLICIES, "epsilon": EpsilonGreedySlates(world.optimal_policy, N, 0.3)}[name]
    target = world.myopic_policy()  # (S, K)
    episodes = 20_000
    log = whole(world, logging, 2 * episodes // 1000, num_users=1000)
    state = replay(world, log).observation["state"]
    chosen = (log.slate == target[state]).all(axis=1)
    weight = np.prod((chosen * np.exp(-log.require("log_propensity"))).reshape(episodes, 2), axis=1)
    estimate = weight * log.require("reward").reshape(episodes, 2).sum(axis=1)
    value = world.mean_start_value(world.policy_values(target))
    assert abs(estimate.mean() - value) < 4 * estimate.std(ddof=1) / np.sqrt(episodes)
    assert abs(weight.mean() - 1.0) < 4 * weight.std(ddof=1) / np.sqrt(episodes)
    assert_allclose(log.log_propensity, log.slot_log_propensity.sum(axis=1), atol=1e-12)


def test_an_agent_that_learns_states_no_propensities() -> None:
    agent = CascadeTS(40, S, N, K)
    pieces = generate_log(
        WORLD,
        agent,
        300,
        num_users=40,
        piece_rows=1000,
        learn=lambda *columns: agent.update(Transition(*columns)),
    )
    first, *_, last = list(pieces)
    assert first.log_propensity is None
    with pytest.raises(InputError, match=r"no log_propensity \(CascadeTS states no propensities\): log with"):
        first.require("log_propensity")
    assert agent.counts.rounds.sum() == 300 * 40
    assert last.reward.mean() > first.reward.mean()


def test_replay_finds_states_and_refuses_another_world() -> None:
    log = whole(Leaving(), POLICIES["epsilon"], 23, num_users=15, seed=8)
    played = replay(Leaving(), log)
    assert_array_equal(played.left, log.clicked[:, 0])
    assert_array_equal(played.observation["step"], log.step)
    going = log.step[1:] > 0
    assert_array_equal(played.observation["state"][1:][going], played.next_observation["state"][:-1][going])
    told = whole(WORLD, POLICIES["epsilon"], 23, num_users=15, seed=8)
    assert_array_equal(
        WORLD.attraction[replay(WORLD, told).observation["state"][:, None], told.slate], told.attraction
    )
    with pytest.raises(
        InputError, match=r"is not what this world gives: the log was made with another world"
    ):
        replay(engagement_ladder(S, N, K, H, world_seed=1), told)
    with pytest.raises(InputError, match=r"step\[0\] = 2 does not follow the row above, and is no beginning"):
        replay(WORLD, told.rows(np.arange(2, 23)))
    with pytest.raises(InputError, match="log has no seed: generate_log writes it"):
        replay(WORLD, Log(told.user, told.time, told.slate, told.clicked))


EVERY_WORLD = [
    pytest.param("CascadeRec-v0", {}, id="CascadeRec-v0"),
    pytest.param("SlateRec-v0", {"num_items": 60, "num_users": 40}, id="SlateRec-v0"),
    pytest.param(
        "SlateRec-v0", {"num_items": 500, "candidates": 20, "candidates_from": "interest"}, id="of user"
    ),
    pytest.param(
        "RepeatListen-v0", {"slate_size": 3, "num_users": 20, "num_items": 900}, id="RepeatListen-v0"
    ),
    pytest.param("InterestDrift-v0", {"num_users": 20, "candidates": 20}, id="InterestDrift-v0"),
    pytest.param("BoredUser-v0", {"num_users": 20}, id="BoredUser-v0"),
    pytest.param("GroupSlate-v0", {}, id="GroupSlate-v0"),
]


@pytest.mark.parametrize(("env_id", "arguments"), EVERY_WORLD)
@pytest.mark.parametrize("agent", ["random", "popularity", "epsilon_best", "plackett_luce"])
def test_any_world_can_be_logged_and_played_again(
    env_id: str, arguments: dict[str, Any], agent: str, tmp_path: Path
) -> None:
    """What the policies saw, the actions and the truth come back from the seeds in the log."""
    out = str(tmp_path / "log.parquet")
    options = [word for name, value in arguments.items() for word in ("--env-arg", f"{name}={value}")]
    command = ["log", env_id, "--agent", agent, "--steps", "25", "--num-envs", "6", "--seed", "2"]
    if env_id == "RepeatListen-v0" and agent == "plackett_luce":
        assert main([*command, *options, "--out", out]) == 2
        return
    assert main([*command, *options, "--out", out]) == 0
    log = read_log(Path(out))
    env = gym.make(env_id, **arguments).unwrapped
    world = env.world  # type: ignore[attr-defined]
    assert log.metadata["num_items"] == getattr(world, "catalogue", world).num_items
    assert (log.log_propensity is None) == (agent == "popularity")
    played = replay(world, log)
    episode = log.episode == log.episode[0]
    first = episode & (log.user == 0)
    observation, _ = env.reset(seed=2)
    for row in np.flatnonzero(first):
        for name, column in played.observation.items():
            assert_array_equal(column[row], observation[name])
        if "candidates" in observation:  # the log holds items, the environment takes places
            shown = observation["candidates"][played.slates[row]]
        else:
            shown = played.slates[row]
        assert_array_equal(shown, log.slate[row])
        observation, reward, left, _, info = env.step(played.slates[row])
        assert reward == log.reward[row]
        assert left == played.left[row]
        assert_array_equal(info["clicked"], log.clicked[row])
    if agent == "epsilon_best":  # better than chance, and its propensities are those of its slots
        N, K = world.num_items, world.slate_size
        greedy, random = log.slot_log_propensity > np.log(0.5), np.log(0.2 / (N - np.arange(K)))
        assert 0.7 < greedy.mean() < 0.95
        assert_allclose(log.slot_log_propensity[~greedy], np.broadcast_to(random, greedy.shape)[~greedy])


def test_an_item_that_is_no_candidate_cannot_be_replayed() -> None:
    world = gym.make("SlateRec-v0", num_items=300, candidates=20).unwrapped.world  # type: ignore[attr-defined]
    log = whole(world, RandomSlates(20, 10), 2, num_users=2)
    slate = log.slate.copy()
    slate[0, 3] = (slate[0, 3] + 1) % 300
    changed = Log(**{**log.columns(), "slate": slate})
    with pytest.raises(InputError, match=r"slates\[0, 3\] = \d+ is none of the 20 candidates of this step"):
        replay(world, changed)


def test_bad_arguments() -> None:
    class Odd(RandomSlates):
        def act(self, observation: Any, luck: Any) -> Any:
            return self.answer

    odd, policy = Odd(N, K), POLICIES["random"]
    for call, message in (
        (lambda: generate_log(gym.make("CascadeRec-v0"), policy, 1, num_users=1), "give env.unwrapped"),
        (lambda: generate_log(WORLD, policy, 0, num_users=1), "steps must be at least 1, got 0"),
        (lambda: generate_log(WORLD, policy, 1, num_users=0), "num_users must be at least 1, got 0"),
        (lambda: generate_log(WORLD, policy, 1, num_users=1, seed=-1), r"seed must be from 0 to 2\^63"),
        (lambda: EpsilonGreedySlates(np.array([[0, -1]]), N, 0.1), "policy must hold full lists of distinct"),
        (lambda: EpsilonGreedySlates(np.array([[0, 0]]), N, 0.1), "policy must hold full lists of distinct"),
        (lambda: EpsilonGreedySlates(np.array([[0, 1]]), N, 0.0), r"epsilon must be in \(0, 1\], got 0.0"),
        (lambda: PlackettLuceSlates(np.full((1, 3), -np.inf), 2), "scores must be finite"),
        (lambda: PlackettLuceSlates(np.zeros((1, 3)), 4), "slate_size must be from 1 to N = 3, got 4"),
    ):
        with pytest.raises(InputError, match=message):
            call()
    for answer, message in (
        (np.zeros((1, K)), r"policy.act must give integers of shape \(1, 2\), got float64 \(1, 2\)"),
        (np.zeros((2, K), int), r"policy.act must give integers of shape \(1, 2\), got int64 \(2, 2\)"),
        (np.array([[0, 9]]), r"policy.act gave slates\[0, 1\] = 9, which is not an item"),
    ):
        odd.answer = answer
        with pytest.raises(InputError, match=message):
            list(generate_log(WORLD, odd, 1, num_users=1))


MEMORY = """
import resource, sys
from pathlib import Path
from recsim_env.agents.baselines.random_slates import RandomSlates, shown_first
from recsim_env.simulators.log_files import read_log_batches, write_logs
from recsim_env.simulators.log_generation import generate_log
from recsim_env.simulators.worlds.engagement_ladder import engagement_ladder
world, pieces, path = engagement_ladder(slate_size=5), int(sys.argv[1]), Path(sys.argv[2])
logs = generate_log(world, RandomSlates(12, 5), 64 * pieces, num_users=512, piece_rows=1 << 15)
rows = write_logs(logs, path)
assert rows == sum(map(len, read_log_batches(path))) == pieces << 15
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    """57 more pieces are 350 MB of arrays; allocators keep some 30 MB more or less."""
    few, many = (
        float(
            subprocess.run(
                [sys.executable, "-c", MEMORY, str(pieces), str(tmp_path / f"{pieces}.parquet")],
                capture_output=True, text=True, check=True,
            ).stdout
        )
        for pieces in (3, 60)
    )  # fmt: skip
    assert many - few < 70


COMMAND = [sys.executable, "-m", "recsim_env.experiments.cli", "log", "CascadeRec-v0", "--agent", "random"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_log_leaves_no_file_under_its_name(tmp_path: Path, how: signal.Signals) -> None:
    out, part = tmp_path / "log.parquet", tmp_path / "log.parquet.part"
    process = subprocess.Popen(
        [*COMMAND, "--steps", "1000000", "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # a shell that runs the tests in the background may have told them to ignore interrupts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )
    for _ in range(600):
        if part.exists() and part.stat().st_size > 100_000:
            break
        time.sleep(0.1)
    process.send_signal(how)
    assert process.wait(60) == (130 if how is signal.SIGINT else -signal.SIGKILL)
    assert not out.exists()
    assert part.exists() == (how is signal.SIGKILL)  # an interrupted one cleans up, a killed one cannot
    with pytest.raises(InputError, match="does not exist"):
        read_log(out)
    assert main([*COMMAND[3:], "--steps", "20", "--num-envs", "3", "--out", str(out)]) == 0
    assert len(read_log(out)) == 60
    assert not part.exists()


def test_an_interrupt_in_compiled_code_is_an_interrupt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Numba makes a SystemError of it. One that is no interrupt is a bug and shows itself."""
    causes = iter([KeyboardInterrupt(), ValueError()])

    def stopped(options: object) -> None:
        raise SystemError("returned a result with an exception set") from next(causes)

    monkeypatch.setattr(log_command, "run", stopped)
    command = [*COMMAND[3:], "--steps", "1", "--out", "log.parquet"]
    assert main(command) == 130
    assert "interrupted" in capsys.readouterr().err
    with pytest.raises(SystemError):
        main(command)


def test_a_full_disk_leaves_no_file(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk, as in `test_experiments`."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17, 1 << 17))

    warm = [
        *COMMAND,
        "--steps",
        "2",
        "--out",
        str(tmp_path / "warm.parquet"),
    ]  # what is compiled is on the disk
    subprocess.run(warm, capture_output=True, check=True)
    done = subprocess.run(
        [*COMMAND, "--steps", "300", "--out", str(tmp_path / "log.parquet")],
        preexec_fn=limit, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "free some room, or raise the limit on files, then run it again" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.glob("log.parquet*"))


def test_the_command_writes_what_generate_log_makes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--env-arg", f"num_states={S}", "--env-arg", f"num_items={N}"]
    sizes += ["--env-arg", f"slate_size={K}", "--env-arg", f"horizon={H}"]
    common = ["log", "CascadeRec-v0", "--steps", "9", "--num-envs", "7", "--seed", "5", *sizes]
    for agent in ("random", "epsilon_myopic", "plackett_luce", "cascade_ts", "optimal", "cascading_vi"):
        out = tmp_path / f"{agent}.parquet"
        assert main([*common, "--agent", agent, "--out", str(out)]) == 0
        log = read_log(out)
        assert log.metadata["env_id"] == "CascadeRec-v0"
        assert log.metadata["env_args"] == {"num_states": S, "num_items": N, "slate_size": K, "horizon": H}
        assert log.metadata["agent"] == agent
        has = log.log_propensity is not None
        assert has == (agent in ("random", "epsilon_myopic", "plackett_luce"))
        said = capsys.readouterr().out
        assert f"wrote {out}: 63 slates" in said
        assert ("with propensities" if has else "without propensities") in said
    write_logs(generate_log(WORLD, RandomSlates(N, K), 9, num_users=7, seed=5), tmp_path / "mine.parquet")
    mine, theirs = read_log(tmp_path / "mine.parquet"), read_log(tmp_path / "random.parquet")
    for name, column in mine.columns().items():
        assert_array_equal(column, theirs.columns()[name], strict=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--agent": "cascade_tss"}, "there is no agent 'cascade_tss': did you mean cascade_ts?"),
        ({"ENV": "CascadeRec-v1"}, "did you mean CascadeRec-v0?"),
        ({"ENV": "CascadeRec-MovieLens-v0"}, "path"),
        ({"--steps": "0"}, "--steps must be at least 1, got 0"),
        ({"--steps": "many"}, "invalid int value: 'many'"),
        ({"--num-envs": "-3"}, "--num-envs must be at least 1, got -3"),
        ({"--seed": "-1"}, "--seed must be 0 or more, got -1"),
        ({"--seed": str(1 << 63)}, "seed must be from 0 to 2^63 - num_users"),
        (
            {"ENV": "BoredUser-v0", "--agent": "cascade_ts"},
            "cascade_ts needs a cascading world, which BoredUser-v0 is not: random, popularity, epsilon_best",
        ),
        (
            {"ENV": "RepeatListen-v0", "--agent": "plackett_luce", "--env-arg": "num_users=3"},
            "plackett_luce needs a world whose items attract one by one, which RepeatListen-v0 is not: ran",
        ),
        ({"--env-arg": "slate_size"}, "--env-arg must be KEY=VALUE, such as slate_size=5, got 'slate_size'"),
        ({"--env-arg": "slate_size=99"}, "slate_size must be from 1 to the number of items"),
        ({"--env-arg": "slate_siz=3"}, "no parameter 'slate_siz'"),
        ({"--env-arg": "num_states=few"}, "num_states must be a whole number, got 'few'"),
        ({"--env-arg": "max_episode_steps=3"}, "no parameter 'max_episode_steps'"),
        ({"--env-arg": "render_mode=ansi"}, "no parameter 'render_mode'"),
        ({"--env-arg": "disable_env_checker=true"}, "no parameter 'disable_env_checker'"),
        ({"--env-arg": "world_seed=-1"}, "world_seed"),
        ({"--out": "there"}, "is there already: delete it, or choose another --out"),
        ({"--out": "nowhere/log.parquet"}, "nowhere is not a directory: make it, or choose another --out"),
    ],
)
def test_bad_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], message: str
) -> None:
    (tmp_path / "there").write_text("mine")
    options = {"--agent": "random", "--steps": "3", "--out": "log.parquet", **changes}
    options["--out"] = str(tmp_path / options["--out"])
    env = options.pop("ENV", "CascadeRec-v0")
    try:
        code = main(["log", env, *(word for pair in options.items() for word in pair)])
    except SystemExit as stop:  # argparse
        code = int(str(stop.code))
    said = capsys.readouterr().err
    assert code == 2
    assert message in said
    assert len(said.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_values_of_parameters_are_those_of_json_and_of_the_pages() -> None:
    texts = ["a=5", "b=0.5", "c=true", "d=True", "e=False", "f=None", "g=null", "h=cascade", 'i="3"', "j=x=y"]
    assert parameters(texts) == {
        "a": 5, "b": 0.5, "c": True, "d": True, "e": False, "f": None, "g": None, "h": "cascade", "i": "3",
        "j": "x=y",
    }  # fmt: skip
    infinite = parameters(
        ["a=inf", "b=-inf", "c=infinity", "d=Infinity", "e=-INF", "f=infinite", "g=nan", "h=--inf"]
    )
    assert infinite == {
        "a": np.inf, "b": -np.inf, "c": np.inf, "d": np.inf, "e": -np.inf, "f": "infinite", "g": "nan",
        "h": "--inf",
    }  # fmt: skip
    with pytest.raises(InputError, match="--env-arg gives a twice: leave one out"):
        parameters(["a=5", "a=6"])


def test_a_parameter_that_is_false_reaches_the_world(tmp_path: Path) -> None:
    out = tmp_path / "log.parquet"
    command = ["log", "SlateRec-v0", "--agent", "random", "--steps", "1", "--num-envs", "2"]
    assert main([*command, "--env-arg", "interest_observed=False", "--out", str(out)]) == 0
    log = read_log(out)
    assert log.metadata["env_args"] == {"interest_observed": False}
    world = world_of("SlateRec-v0", log.metadata["env_args"])
    assert "interest" not in replay(world, log).observation


@pytest.mark.parametrize("value", ["inf", "infinity", "Infinity"])
def test_a_parameter_that_is_infinite_reaches_the_world(value: str, tmp_path: Path) -> None:
    out = tmp_path / "log.parquet"
    command = ["log", "InterestDrift-v0", "--agent", "random", "--steps", "2", "--num-envs", "2"]
    assert main([*command, "--env-arg", f"length_scale={value}", "--out", str(out)]) == 0
    log = read_log(out)
    assert log.metadata["env_args"] == {"length_scale": np.inf}
    assert len(replay(world_of("InterestDrift-v0", log.metadata["env_args"]), log).left) == 4


WITHOUT_ATTRACTION = "RepeatListen-v0", "PoisonedRec-v0"  # of items one by one


@pytest.mark.parametrize("env_id", sorted({*registered_ids()} - {"CascadeRec-MovieLens-v0"}))
def test_agents_work_where_the_list_says(env_id: str) -> None:
    if env_id == "Attack-v0":
        pytest.skip("its slates are fake users, and the best of them may be short")
    few = {"num_items": 16}  # so that all lists can be gone through
    world = world_of(env_id, few if env_id == "LinearCascadeBandit-v0" else {})
    cascading = {"CascadeRec-v0", "CascadeBandit-v0", "CascadeRec-Grocery-v0", "LinearCascadeBandit-v0"}
    works = {
        **dict.fromkeys(IN_ANY, True),
        **dict.fromkeys(
            WHERE_ITEMS_ATTRACT, env_id not in WITHOUT_ATTRACTION and not isinstance(world, HasArms)
        ),
        **dict.fromkeys(IN_CASCADES, env_id in cascading),
    }
    assert set(works) == set(LOG_AGENTS) == {*AGENTS, "epsilon_best", "epsilon_myopic", "plackett_luce"}
    for name, can in works.items():
        if can:
            agent = log_agent(name, env_id, world, 2, 3)
            rows = sum(map(len, generate_log(world, agent, 1, num_users=2)))
            assert rows == 2
        else:
            with pytest.raises(InputError, match=f"^{name} needs a .*world.*, which {env_id} is not"):
                log_agent(name, env_id, world, 2, 3)


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["log", "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    for word in (
        "--agent",
        "--steps",
        "--env-arg",
        "default: 1000",
        "read_log",
        "examples:",
        "plackett_luce",
    ):
        assert word in said


def test_minari(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minari = pytest.importorskip("minari", reason="the extra minari is not installed")
    from recsim_env.simulators.minari_export import export_minari

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    env_args = {"num_states": S, "num_items": N, "slate_size": K, "horizon": H}
    about = {"author": "a", "author_email": "a@b.c", "code_permalink": "none"}  # Minari warns without them
    log = whole(WORLD, POLICIES["random"], 10, num_users=3, seed=6)
    with pytest.raises(InputError, match="log does not say which environment it is of"):
        export_minari(log, "cascade-rec/random-v0")
    log = Log(**log.columns(), metadata={"env_id": "CascadeRec-v0", "env_args": env_args})
    export_minari(log, "cascade-rec/random-v0", **about)
    with pytest.raises(InputError, match="refused by Minari"):
        export_minari(log, "cascade-rec/random-v0", **about)
    dataset = minari.load_dataset("cascade-rec/random-v0")
    assert (dataset.total_episodes, dataset.total_steps) == (9, 30)  # of 4, 4 and 2 steps
    env = dataset.recover_environment()
    at = 0
    for episode, stored in zip(
        dataset.iterate_episodes(), dataset.storage.get_episode_metadata(range(9)), strict=True
    ):
        seen, _ = env.reset(seed=stored["seed"], options=stored["options"])
        assert seen == {name: column[0] for name, column in episode.observations.items()}
        for t, action in enumerate(episode.actions):
            seen, reward, terminated, _, info = env.step(action)
            assert seen == {name: column[t + 1] for name, column in episode.observations.items()}
            assert (reward, terminated) == (episode.rewards[t], episode.terminations[t])
            assert_array_equal(info["clicked"], episode.infos["clicked"][t + 1])
            assert episode.infos["log_propensity"][t + 1] == log.log_propensity[at]
            at += 1
        assert episode.truncations.tolist() == [False] * (len(episode.actions) - 1) + [True]
    assert at == len(log)


def test_without_minari_the_export_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from recsim_env.simulators.minari_export import export_minari

    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(InputError, match=r"pip install 'recsim-env\[minari\]'"):
        export_minari(whole(WORLD, POLICIES["random"], 1, num_users=1), "x-v0")
