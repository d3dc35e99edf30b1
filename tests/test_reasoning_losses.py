"""Losses of latent reasoning: by hand in NumPy, gradients by finite differences, the graph by counting."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.latent_reasoning import (  # noqa: E402
    LatentReasoning,
    steps_of,
)
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec  # noqa: E402
from recsim_env.agents.sequential.neural.losses.ensemble_reasoning import (  # noqa: E402
    EnsembleReasoning,
    mean_divergence,
)
from recsim_env.agents.sequential.neural.losses.graph_prior import GraphPrior  # noqa: E402
from recsim_env.agents.sequential.neural.losses.neighbourhood import Neighbourhood  # noqa: E402
from recsim_env.agents.sequential.neural.losses.progressive_reasoning import (  # noqa: E402
    ProgressiveReasoning,
)
from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender  # noqa: E402
from recsim_env.agents.sequential.neural.sequences import Sequences  # noqa: E402
from recsim_env.agents.sequential.transition_graph import TransitionGraphRecommender  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402
from recsim_env.experiments import checkpoint  # noqa: E402
from recsim_env.experiments.drifting_users import drifting_users  # noqa: E402
from recsim_env.simulators.log import Log  # noqa: E402

pytestmark = pytest.mark.extra

N, D, L, R = 9, 8, 5, 2


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def a_log(users=6, seed=0):
    """Users of two to six items; item 8 comes last or not at all."""
    rng = np.random.default_rng(seed)
    rows = [(u, rng.integers(N - 1), float(t)) for u in range(users) for t in range(2 + u % L)]
    user, item, time = map(np.array, zip(*rows, strict=True))
    item[np.append(user[1:] != user[:-1], True) & (user == 1)] = N - 1
    return Log.from_interactions(user, item, time)


def reasoning(steps=R, read_out="last", dropout=0.0):
    generator = torch.Generator().manual_seed(5)
    sasrec = SASRec(ItemVectors(N, D), max_length=L, blocks=1, dropout=dropout, generator=generator)
    net = LatentReasoning(sasrec, steps=steps, read_out=read_out, generator=generator)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(7)))
        net.items.learned.weight[N] = 0.0
    return net.double().train()


def pieces(net, auxiliary):
    """The loss of all users, its trajectory, targets and score vectors, in NumPy."""
    data = Sequences.of_log(a_log(), N, L + 1)
    rows = data.next_items(np.arange(len(data.start)))
    generator = torch.Generator().manual_seed(3)
    auxiliary.begin(net, data, generator)
    states = net(torch.from_numpy(rows.items))
    value = auxiliary.double().loss(net, data, rows, states, generator)
    return value, steps_of(net, states).detach().numpy(), rows, net.candidates().detach().numpy()


def log_softmax(x):
    return x - np.logaddexp.reduce(x, axis=-1, keepdims=True)


def test_sharper_and_sharper_by_hand():
    value, found, rows, table = pieces(reasoning(), ProgressiveReasoning(contrast=0.0, sharpening=3.0))
    user, place = np.nonzero(rows.targets >= 0)
    target = rows.targets[user, place]
    expected = 0.0
    for k in range(R):
        log_p = log_softmax(found[user, place, k] @ table.T / 3.0 ** (R - k))
        expected -= log_p[np.arange(len(target)), target].mean() / R
    assert value.item() == pytest.approx(expected, abs=1e-8)


def test_the_contrast_of_two_passes_by_hand():
    net = reasoning()
    only = ProgressiveReasoning(contrast=0.0)
    both = ProgressiveReasoning(contrast=0.5, noise=0.4, temperature=0.3)
    without = pieces(net, only)[0].item()
    value, found, rows, _ = pieces(net, both)
    generator = torch.Generator().manual_seed(3)
    items = torch.from_numpy(rows.items)
    noisy = net.trajectory(items, last_alone=True, noise=0.4, generator=generator).detach().numpy()
    expected, B = 0.0, len(items)
    for k in range(1, R + 1):
        views = np.concatenate([found[:, -1, k], noisy[:, 0, k]])
        views /= np.linalg.norm(views, axis=1, keepdims=True)
        logits = views @ views.T / 0.3
        for i in range(2 * B):
            partner = (i + B) % (2 * B)
            others = [j for j in range(2 * B) if j not in (i, partner)]
            expected += (np.logaddexp.reduce(logits[i, [partner, *others]]) - logits[i, partner]) / (
                2 * B * R
            )
    assert value.item() - without == pytest.approx(0.5 * expected, abs=1e-6)


def test_steps_of_an_ensemble_by_hand():
    """With one position a user there is nothing to draw."""
    net = reasoning(read_out="mean")
    auxiliary, generator = EnsembleReasoning(weight=0.1), torch.Generator().manual_seed(3)
    data = Sequences.of_log(Log.from_interactions([0, 0, 1, 1], [2, 3, 5, 1], [0.0, 1.0, 0.0, 1.0]), N, L)
    auxiliary.begin(net, data, generator)
    rows = data.next_items(np.array([0, 1]))
    states = net(torch.from_numpy(rows.items))
    value = auxiliary.loss(net, data, rows, states, generator)
    found, table = steps_of(net, states).detach().numpy()[:, 0], net.candidates().detach().numpy()
    log_p, expected = log_softmax(found @ table.T), 0.0
    for k in range(R + 1):
        for j in range(R + 1):
            if k != j:
                apart = (np.exp(log_p[:, k]) * (log_p[:, k] - log_p[:, j])).sum(axis=1)
                expected -= apart.mean() / (R * (R + 1))
    assert value.item() == pytest.approx(expected, abs=1e-8)
    assert expected < -0.01


def test_the_position_of_an_ensemble_is_one_with_a_next_item():
    net = reasoning(read_out="mean")
    data = Sequences.of_log(a_log(), N, L + 1)
    rows = data.next_items(np.array([0, 4]))  # user 0 has one place with a next item, and empty cells
    states = net(torch.from_numpy(rows.items))
    auxiliary, generator = EnsembleReasoning(), torch.Generator().manual_seed(0)
    found = {round(auxiliary.loss(net, data, rows, states, generator).item(), 9) for _ in range(80)}
    log_p = torch.log_softmax(steps_of(net, states) @ net.candidates().T, dim=-1)
    possible = [-mean_divergence(of_user).detach().numpy() for of_user in log_p]
    assert (rows.targets[0] >= 0).sum() == 1
    expected = (possible[0][-1] + possible[1][rows.targets[1] >= 0]) / 2
    assert found == {round(value, 9) for value in expected.tolist()}


def test_gradients_of_the_divergence_stop_at_the_second():
    """Finite differences of sum_kj KL(p_k || q_j), where only p moves."""
    start = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits = start.clone().requires_grad_()
    mean_divergence(torch.log_softmax(logits, dim=-1)).sum().backward()
    fixed = log_softmax(start.numpy())

    def value(x):
        p = log_softmax(x)
        apart = np.einsum("bkn,bkjn->bkj", np.exp(p), p[:, :, None] - fixed[:, None])
        return (apart.sum() - np.einsum("bkk->", apart)) / 6

    for place in np.ndindex(2, 3, 5):
        moved = [start.numpy().copy() for _ in range(2)]
        moved[0][place] += 1e-6
        moved[1][place] -= 1e-6
        slope = (value(moved[0]) - value(moved[1])) / 2e-6
        assert logits.grad[place].item() == pytest.approx(slope, abs=1e-7)


def prior(log, history, recent=3, neighbours=2, fading=0.5):
    """g by counting in a dictionary."""
    follows = {}
    for a, b in zip(range(len(log) - 1), range(1, len(log)), strict=True):
        if log.user[a] == log.user[b]:
            counts = follows.setdefault(int(log.slate[a, 0]), {})
            counts[int(log.slate[b, 0])] = counts.get(int(log.slate[b, 0]), 0) + 1
    g = np.zeros(N)
    for back, item in enumerate(history[::-1][:recent]):
        best = sorted(follows.get(int(item), {}).items(), key=lambda pair: (-pair[1], pair[0]))[:neighbours]
        for j, count in best:
            g[j] += fading**back * count / sum(count for _, count in best)
    return g / g.sum() if g.any() else g


def test_the_neighbourhood_by_counting():
    log = a_log(users=30)
    data = Sequences.of_log(log, N, 7)
    graph = TransitionGraphRecommender(num_items=N, features=np.eye(N)).fit(log).transitions_
    near = Neighbourhood(data, recent=3, neighbours=2).double()
    everyone = data.next_items(np.arange(len(data.start)))
    ids, share = near(torch.from_numpy(everyone.items))
    table = torch.randn(N, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    means = near.mean_vectors(torch.from_numpy(everyone.items), table)
    for u, t in zip(*np.nonzero(everyone.targets >= 0), strict=True):
        history = everyone.items[u, : t + 1]
        expected = prior(log, history[history < N])
        found = np.bincount(ids[u, t].numpy(), share[u, t].numpy(), N)
        np.testing.assert_allclose(found, expected, atol=1e-7)
        np.testing.assert_allclose(means[u, t].numpy(), expected @ table.numpy(), atol=1e-6)
    assert not share[everyone.items == N].any() or (everyone.items != N).all()
    assert near.share[:N].count_nonzero(dim=1).tolist() == np.minimum(np.diff(graph.indptr), 2).tolist()


def test_drift_by_hand():
    log = a_log(users=30)
    near = Neighbourhood(Sequences.of_log(log, N, 7), neighbours=2).double()
    history = np.array([[N, N, 3, 4], [0, 5, 5, 2], [N, N, N, 8], [N, N, N, N]])
    logits = np.random.default_rng(0).standard_normal((4, 3, N))
    found = near.drift(torch.from_numpy(history), torch.from_numpy(log_softmax(logits))).numpy()
    for u in range(2):
        g = prior(log, history[u][history[u] < N])
        there = g > 0
        expected = (g[there] * (np.log(g[there]) - log_softmax(logits[u])[:, there])).sum(axis=1)
        np.testing.assert_allclose(found[u], expected, atol=1e-6)
        exact = np.where(there, g, 1e-300)
        itself = near.drift(torch.from_numpy(history[u : u + 1]), torch.from_numpy(np.log(exact))[None, None])
        assert abs(itself.item()) < 1e-6  # a prediction that is the prior does not drift
    assert np.isnan(found[2:]).all()  # item 8 is followed by none, and nobody's history neither


def test_the_graph_prior_by_hand():
    net, log = reasoning(), a_log()
    auxiliary = GraphPrior(neighbours=2)
    value, found, rows, table = pieces(net, auxiliary)
    expected, count = 0.0, 0
    for u, t in zip(*np.nonzero(rows.targets >= 0), strict=True):
        history = rows.items[u, : t + 1]
        g, count = prior(log, history[history < N]), count + 1
        for k in range(R + 1):
            b = (R + 1 - k) / (R + 2) * g.any()
            q = b * g + (1 - b) * np.eye(N)[rows.targets[u, t]]
            there, log_p = q > 0, log_softmax(table @ found[u, t, k])
            expected += (q[there] * (np.log(q[there]) - log_p[there])).sum() / (R + 1)
    assert value.item() == pytest.approx(expected / count, abs=1e-6)


@pytest.mark.parametrize(
    ("auxiliary", "read_out"),
    [(ProgressiveReasoning(contrast=0.0), "last"), (GraphPrior(), "last"), (GraphPrior(), "mean")],
)
def test_gradients_by_finite_differences(auxiliary, read_out):
    net = reasoning(read_out=read_out)
    pieces(net, auxiliary)[0].backward()
    for name, parameter in net.named_parameters():
        place = int(parameter.grad.abs().argmax())
        slope = parameter.grad.flatten()[place].item()
        ends = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                parameter.view(-1)[place] += step
                ends.append(pieces(net, auxiliary)[0].item())
                parameter.view(-1)[place] -= step
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(slope, rel=1e-3, abs=1e-6), name


@pytest.mark.parametrize(
    ("auxiliary", "read_out"),
    [(ProgressiveReasoning, "last"), (EnsembleReasoning, "mean"), (GraphPrior, "last")],
)
def test_training_repeats_and_goes_on_as_if_unbroken(auxiliary, read_out, tmp_path):
    def encoder(num_items, generator):
        sasrec = SASRec(ItemVectors(num_items, D), max_length=L, blocks=1, generator=generator)
        return LatentReasoning(sasrec, steps=R, read_out=read_out, generator=generator)

    def recommender(auxiliaries, epochs):
        kwargs = {"batch_size": 4, "objective": "full_softmax", "device": "cpu", "num_items": N}
        return NeuralRecommender(encoder, auxiliaries=auxiliaries, epochs=epochs, **kwargs)

    log, history = a_log(users=20), np.array([[1, 2, 3], [N - 1, 0, 4]])
    whole, again, without = (
        recommender(auxiliaries, 4).fit(log).network_.state_dict()
        for auxiliaries in (lambda: [auxiliary()], lambda: [auxiliary()], tuple)
    )
    assert all(torch.equal(value, again[name]) for name, value in whole.items())
    assert not all(torch.equal(value, without[name]) for name, value in whole.items())

    first = recommender(lambda: [auxiliary()], 2).fit(log)
    torch.rand(9)  # what others draw changes nothing
    checkpoint.save(tmp_path / "checkpoints" / "first.npz", first, {})
    second = recommender(lambda: [auxiliary()], 4)
    second.begin(log)
    checkpoint.load(tmp_path / "checkpoints" / "first.npz", second)
    while not second.finished:
        second.train_epoch()
    assert all(torch.equal(value, whole[name]) for name, value in second.network_.state_dict().items())
    assert np.isfinite(second.scores(history)).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ProgressiveReasoning(sharpening=0.5), "sharpening must be 1 or more, got 0.5"),
        (lambda: ProgressiveReasoning(noise=0.0), "noise must be above 0 and finite, got 0.0"),
        (lambda: ProgressiveReasoning(contrast=-1.0), "contrast must be 0 or more, got -1.0"),
        (lambda: ProgressiveReasoning(temperature=0.0), "temperature must be above 0"),
        (lambda: EnsembleReasoning(weight=0.0), "weight must be above 0 and finite, got 0.0"),
        (lambda: GraphPrior(recent=0), "recent must be at least 1, got 0"),
        (lambda: GraphPrior(neighbours=0), "neighbours must be at least 1, got 0"),
        (lambda: GraphPrior(fading=0.0), "fading must be above 0"),
        (lambda: GraphPrior(fading=1.5), "fading must be from 0 to 1, got 1.5"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("auxiliary", [ProgressiveReasoning, EnsembleReasoning, GraphPrior])
def test_encoders_that_do_not_reason_are_refused(auxiliary):
    name = auxiliary.__name__
    generator = torch.Generator()
    with pytest.raises(InputError, match=f"{name} needs a LatentReasoning, got SASRec"):
        auxiliary().begin(reasoning().encoder, None, generator)
    with pytest.raises(InputError, match=f"{name} needs a LatentReasoning of 1 step or more, got 0"):
        auxiliary().begin(reasoning(steps=0), None, generator)


def test_an_ensemble_needs_the_mean():
    with pytest.raises(InputError, match="EnsembleReasoning needs the read-out mean, got last"):
        EnsembleReasoning().begin(reasoning(), None, torch.Generator())


# --- what they are worth


@pytest.mark.slow
def test_each_loss_does_what_it_is_for():
    """Of 1,000 users never seen, whose interest drifts, by reasoners of 2 steps.

    Measured: drift at step 0, 1, 2 in nats, 1.285, 1.263, 1.254 without a loss and 1.231, 1.205, 1.205 with
    the graph prior; divergence of the steps of a mean .0195 without and .0244 with the ensemble's loss; what
    noise in the tokens does to the last prediction .0191 nats with sharpening alone, .0156 with the contrast.
    """
    items, known, taken = 300, 1000, 11
    of = drifting_users(items, 2000, taken, 4.0, seed=0)
    log, history = of.log(known), torch.from_numpy(of.taken[known:, :-1].copy())
    near = Neighbourhood(Sequences.of_log(log, items, taken))

    def fitted(auxiliaries, read_out="last"):
        def encoder(num_items, generator):
            vectors = ItemVectors(num_items, 32)
            sasrec = SASRec(vectors, max_length=taken, blocks=1, generator=generator)
            return LatentReasoning(sasrec, steps=2, read_out=read_out, generator=generator)

        return (
            NeuralRecommender(
                encoder,
                objective="full_softmax",
                auxiliaries=auxiliaries,
                epochs=10,
                patience=10,
                batch_size=32,
                learning_rate=3e-3,
                mask_history=False,
                num_items=items,
                device="cpu",
            )
            .fit(log)
            .best_.eval()
        )

    found = {}
    for name, auxiliaries, read_out in (
        ("plain", tuple, "last"),
        ("graph prior", lambda: [GraphPrior()], "last"),
        ("mean alone", tuple, "mean"),
        ("ensemble", lambda: [EnsembleReasoning()], "mean"),
        ("no contrast", lambda: [ProgressiveReasoning(contrast=0.0)], "last"),
        ("progressive", lambda: [ProgressiveReasoning()], "last"),
    ):
        net = fitted(auxiliaries, read_out)
        with torch.no_grad():
            steps, table = net.trajectory(history, last_alone=True)[:, 0], net.candidates()
            noise = torch.Generator().manual_seed(0)
            moved = net.trajectory(history, last_alone=True, noise=0.3, generator=noise)[:, 0]
            log_p, other = (torch.log_softmax(each @ table.T, dim=-1) for each in (steps, moved))
            found[name] = {
                "drift": near.drift(history, log_p).nanmean(dim=0),
                "apart": mean_divergence(log_p).mean(),
                "moved": (log_p.exp() * (log_p - other)).sum(dim=-1).mean(dim=0)[1:],
            }
        print(name, {key: value.numpy().round(4) for key, value in found[name].items()})
    assert (found["graph prior"]["drift"] < found["plain"]["drift"]).all()
    assert found["ensemble"]["apart"] > found["mean alone"]["apart"]
    assert (found["progressive"]["moved"] < found["no contrast"]["moved"]).all()
