"""Latent reasoning: every position against tokens appended one at a time, halting user by user, a policy."""

import pickle
from copy import deepcopy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from encoder_checks import (  # noqa: E402
    D,
    L,
    N,
    check_causal,
    check_company_and_padding,
    check_empty_rows,
    check_gradients,
    check_half_precision,
    check_learns_circle,
    circle,
    made,
    some_histories,
    trained,
)

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie  # noqa: E402
from recsim_env.agents.generative.generative_recommender import GenerativeRecommender  # noqa: E402
from recsim_env.agents.generative.heads.projection import ProjectionHead  # noqa: E402
from recsim_env.agents.generative.policy import GenerativePolicy  # noqa: E402
from recsim_env.agents.generative.tokenisers.numbered import atomic  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.adaptive_halting import AdaptiveHalting  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.cosine import Cosine  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.encoder import seen_keys  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.gru4rec import GRU4Rec  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.latent_reasoning import (  # noqa: E402
    LatentReasoning,
    steps_of,
)
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec  # noqa: E402
from recsim_env.agents.sequential.neural.full_ranking import score_blocks  # noqa: E402
from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402
from recsim_env.simulators.log import Log  # noqa: E402
from recsim_env.simulators.splits import leave_one_out  # noqa: E402

pytestmark = pytest.mark.extra


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def reasoning(steps=2, read_out="last"):
    def encoder(items, *, generator, **more):
        sasrec = SASRec(items, generator=generator, **more)
        return LatentReasoning(sasrec, steps=steps, read_out=read_out, generator=generator)

    return encoder


def appended(net, items):
    """The steps (t, R + 1, D) of one user's items (t,): behind each prefix tokens are put, one by one."""
    sasrec, found = net.encoder, []
    entering = sasrec.embed(items[None])
    for t in range(1, len(items) + 1):
        x, empty, states = entering[:, :t], (items[:t] == N)[None], []
        for step in range(net.steps + 1):
            y, seen = x, seen_keys(empty)
            for block in sasrec.blocks:
                y = block(y, seen)
            states.append(sasrec.norm(y)[0, -1])
            if step < net.steps:
                x = torch.cat([x, (states[-1] + net.positions[step])[None, None]], dim=1)
                empty = torch.cat([empty, torch.zeros(1, 1, dtype=torch.bool)], dim=1)
        found.append(torch.stack(states))
    return torch.stack(found)


def test_every_position_reasons_as_if_its_tokens_were_appended_one_at_a_time():
    net = made(reasoning(3), blocks=2, heads=2)
    items, _ = some_histories()
    found = net.trajectory(items)
    assert found.shape == (len(items), L, 4, D)
    for row, own in enumerate(items):
        expected = appended(net, own)
        there = own != N
        assert torch.allclose(found[row][there], expected[there], atol=1e-5)
    assert (found[:, :, 1:] - found[:, :, :-1]).abs().amax(dim=(0, 1, 3)).min() > 0.05  # steps differ
    assert torch.allclose(net.trajectory(items, last_alone=True)[:, 0], found[:, -1], atol=1e-6)
    assert torch.equal(net(items), found[:, :, -1])
    net.read_out = "mean"
    assert torch.allclose(net(items), found.mean(dim=2), atol=1e-6)


@pytest.mark.parametrize("read_out", ["last", "mean"])
def test_it_is_an_encoder(read_out):
    net = made(reasoning(2, read_out))
    with torch.no_grad():
        check_causal(net)
        check_company_and_padding(net)
        check_half_precision(net)
    check_empty_rows(net)
    check_gradients(net)


def test_it_learns():
    check_learns_circle(reasoning(2), epochs=12)


def test_no_steps_are_the_encoder_itself():
    """To the bit, in a whole training with dropout; other steps are another training."""
    kwargs = {"epochs": 2, "objective": "full_softmax"}
    weights = [
        trained(encoder, circle(), **kwargs).network_.state_dict()
        for encoder in (SASRec, reasoning(0), reasoning(1))
    ]
    for name, value in weights[0].items():
        assert torch.equal(weights[1][f"encoder.{name}"], value)
    assert not torch.equal(weights[2]["encoder.norm.weight"], weights[0]["norm.weight"])
    assert weights[1]["positions"].shape == (0, 16)
    net = made(reasoning(3))
    items, _ = some_histories()
    assert torch.equal(net.trajectory(items)[:, :, 0], net.encoder(items))


def test_noise_is_drawn_from_what_is_given_alone():
    net = made(reasoning(2))
    items, _ = some_histories()

    def noisy(seed, noise=0.3):
        return net.trajectory(items, noise=noise, generator=torch.Generator().manual_seed(seed))

    before = torch.get_rng_state()
    assert torch.equal(noisy(0), noisy(0))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.allclose(noisy(0), noisy(1), atol=0.01)
    clean = net.trajectory(items)
    assert torch.equal(noisy(0)[:, :, 0], clean[:, :, 0])  # the first state has no token
    assert torch.allclose(noisy(0, 1e-6), clean, atol=1e-4)


def test_a_pass_in_training_leaves_its_steps_behind_and_copies_do_without():
    net = made(reasoning(2), dropout=0.0)
    items, _ = some_histories()
    with pytest.raises(InputError, match="there is no trajectory: only a pass in training"):
        steps_of(net, net(items))
    net.train()
    states = net(items)
    assert torch.equal(steps_of(net, states)[:, :, -1], states)
    net(items)
    with pytest.raises(InputError, match="another loss has run the encoder again"):
        steps_of(net, states)
    states = net(items)
    for copy in (deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert copy.trajectory_ is None
        assert torch.equal(copy(items), states)
    net.eval()(items)
    assert net.trajectory_ is None


@pytest.mark.parametrize("read_out", ["last", "mean"])
def test_halting_user_by_user(read_out):
    """Never before the end, after one step, and so that half of the users go on after one."""
    net = made(reasoning(4, read_out))
    items, _ = some_histories(rows=40)
    with torch.no_grad():
        found = net.trajectory(items)[:, -1].double().numpy()
        table = net.candidates().double().numpy()
    states = found.cumsum(axis=1) / np.arange(1, 6)[:, None] if read_out == "mean" else found
    log_p = states @ table.T
    log_p -= np.logaddexp.reduce(log_p, axis=2, keepdims=True)
    changed = (np.exp(log_p[:, 1:]) * (log_p[:, 1:] - log_p[:, :-1])).sum(axis=2)  # (U, R)
    for threshold in (1e-9, np.median(changed[:, 0]), 1e9):
        halting = AdaptiveHalting(net, threshold=threshold)
        with torch.no_grad():
            state, used = halting.halted(items)
        for row in range(len(items)):
            k = next((k for k in range(1, 5) if changed[row, k - 1] < threshold), 4)
            assert used[row] == k
            np.testing.assert_allclose(state[row].numpy(), states[row, k], atol=1e-5)
        alone = halting.halted(items[3:4])
        assert torch.allclose(alone[0][0], state[3], atol=1e-5)
        assert alone[1][0] == used[3]
        counts = np.bincount(used.numpy(), minlength=5)
        if threshold == 1e-9:
            assert counts.tolist() == [0, 0, 0, 0, 40]
        elif threshold == 1e9:
            assert counts.tolist() == [0, 40, 0, 0, 0]
        else:
            assert counts[1] == 20


def test_scores_of_a_recommender_that_halts():
    fitted = trained(reasoning(3), circle(), epochs=2)
    history = leave_one_out(circle()).history
    halting = AdaptiveHalting(fitted.best_, threshold=1e-9)  # never before the last step
    found = torch.cat(list(score_blocks(halting, history, None, torch.device("cpu"))))
    np.testing.assert_allclose(found.numpy(), fitted.scores(history), atol=1e-4)


def test_it_wraps_and_is_wrapped():
    net = Cosine(made(reasoning(2)))
    items, _ = some_histories()
    assert torch.allclose(net(items).norm(dim=-1), torch.tensor(1 / 0.07))

    class Timed(SASRec):
        reads_gaps = True

    gru, timed = (made(ItemVectors(N, D), generator=torch.Generator()) for made in (GRU4Rec, Timed))
    for wrong, name in ((gru, "GRU4Rec"), (timed, "Timed"), (net, "Cosine")):
        message = f"LatentReasoning runs the blocks of a SASRec on, and cannot those of {name}"
        with pytest.raises(InputError, match=message):
            LatentReasoning(wrong, generator=torch.Generator())


def test_it_is_the_encoder_of_a_policy():
    known = atomic(N)

    def policy(num_items, generator):
        encoder = reasoning(2)(ItemVectors(num_items, D), max_length=L, generator=generator)
        head = ProjectionHead(encoder.items)
        return GenerativePolicy(encoder, head, CatalogueTrie(known.codes, known.level_sizes))

    rng = np.random.default_rng(0)
    user, item = np.repeat(np.arange(30), L), rng.integers(0, N, 30 * L)
    log = Log.from_interactions(user, item, np.tile(np.arange(float(L)), 30))
    fitted = GenerativeRecommender(policy, epochs=2, mask_history=False, num_items=N, device="cpu").fit(log)
    tuned, history = fitted.policy_, torch.from_numpy(item.reshape(30, L))[:5]
    log_pi = tuned.log_prob(history, torch.arange(N).expand(5, -1))
    assert torch.allclose(log_pi.exp().sum(dim=1), torch.ones(5), atol=1e-5)
    scores = tuned.encoder(history)[:, -1] @ tuned.encoder.candidates().T
    assert torch.allclose(log_pi, torch.log_softmax(scores, dim=1), atol=1e-5)
    best, found = tuned.generate(history, N, width=2 * N)
    assert torch.equal(best, log_pi.argsort(dim=1, descending=True))
    assert torch.allclose(found, log_pi.sort(dim=1, descending=True)[0], atol=1e-5)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"steps": -1}, "steps must be 0 or more, got -1"),
        ({"read_out": "sum"}, "there is no read_out 'sum': known are last, mean"),
    ],
)
def test_a_reasoner_that_cannot_be_is_refused(more, message):
    sasrec = SASRec(ItemVectors(N, D), generator=torch.Generator())
    with pytest.raises(InputError, match=message):
        LatentReasoning(sasrec, generator=torch.Generator(), **more)


def test_halting_that_cannot_be_is_refused():
    net = made(reasoning(1))
    with pytest.raises(InputError, match="threshold must be above 0 and finite, got 0"):
        AdaptiveHalting(net, threshold=0)
    with pytest.raises(InputError, match="AdaptiveHalting needs a LatentReasoning, got SASRec"):
        AdaptiveHalting(net.encoder)
    with pytest.raises(InputError, match="AdaptiveHalting needs a LatentReasoning of 1 step or more, got 0"):
        AdaptiveHalting(made(reasoning(0)))
    with pytest.raises(InputError, match="AdaptiveHalting is for a trained network"):
        AdaptiveHalting(net).train()(some_histories()[0])


# --- what it is worth


GROUPS, EACH, KNOWN = 8, 6, 3


def two_hops(users, seed):
    """Everyone has one item of each group, in random order; then comes one of them, and what it leads to.

    Item i points to a group, and h(i) is the user's item of that group. What follows item i is h(h(i)), which
    takes two looks at the history, the second one to where the first one leads.
    """
    points = np.array(
        [
            np.random.default_rng(99 + g).permutation(np.delete(np.arange(GROUPS), g // EACH))[0]
            for g in range(GROUPS * EACH)
        ]
    )
    rng = np.random.default_rng(seed)
    rows = np.empty((users, GROUPS + KNOWN), np.int64)
    for u in range(users):
        own = EACH * np.arange(GROUPS) + rng.integers(0, EACH, GROUPS)
        rows[u, :GROUPS] = rng.permutation(own)
        for t in range(GROUPS, GROUPS + KNOWN):
            rows[u, t] = own[points[own[points[rows[u, t - 1]]]]]
    return rows


@pytest.mark.slow
def test_what_takes_two_looks_takes_a_step_of_reasoning():
    """Share of 1,000 users never seen whose next item is first, by one block with and without steps.

    Measured: .820 without, .998 with one step.
    """
    rows = two_hops(4000, 0)
    user = np.repeat(np.arange(3000), rows.shape[1])
    time = np.tile(np.arange(float(rows.shape[1])), 3000)
    log, history = Log.from_interactions(user, rows[:3000].ravel(), time), rows[3000:, :-1]
    shares = {}
    for steps in (0, 1):

        def encoder(num_items, generator, steps=steps):
            vectors = ItemVectors(num_items, 32)
            sasrec = SASRec(vectors, max_length=12, blocks=1, dropout=0.0, generator=generator)
            return LatentReasoning(sasrec, steps=steps, generator=generator)

        fitted = NeuralRecommender(
            encoder,
            objective="full_softmax",
            epochs=30,
            patience=30,
            batch_size=64,
            learning_rate=3e-3,
            mask_history=False,
            num_items=GROUPS * EACH,
            device="cpu",
        ).fit(log)
        shares[steps] = (fitted.scores(history).argmax(axis=1) == rows[3000:, -1]).mean()
        print(steps, "steps:", shares[steps], fitted.validation_[::5].round(3))
    assert shares[1] > shares[0] + 0.1
