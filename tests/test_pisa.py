"""PISA: its attention number by number, what its states may see, its loss by hand, and its training."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from recsim_env.agents.sequential.neural.pisa.actr_attention import COMPONENTS, ACTRAttention  # noqa: E402
from recsim_env.agents.sequential.neural.pisa.bpr import bpr, draw_negatives  # noqa: E402
from recsim_env.agents.sequential.neural.pisa.pisa import PISA  # noqa: E402
from recsim_env.agents.sequential.neural.pisa.pisa_network import PISANetwork, Windows  # noqa: E402
from recsim_env.agents.sequential.neural.pisa.session_reader import SessionReader  # noqa: E402
from recsim_env.agents.sequential.session_memory import association, shares  # noqa: E402
from recsim_env.agents.sequential.session_recommender import evaluate_sessions  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402
from recsim_env.simulators.sessions_split import (  # noqa: E402
    TEST,
    TRAIN,
    VALIDATION,
    Sessions,
    split_sessions,
    training_windows,
    windows,
)
from recsim_env.user_models.memory import actr  # noqa: E402

pytestmark = pytest.mark.extra

N, L, M, F, D = 12, 4, 3, 5, 8


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def some_sessions(users=5, each=9, seed=0):
    """Sessions of one to three items of twelve, hours apart."""
    rng = np.random.default_rng(seed)
    rows = users * each
    items = np.argsort(rng.random((rows, N)), axis=1)[:, :M]
    items[np.arange(M) >= rng.integers(1, M + 1, rows)[:, None]] = -1
    start = np.cumsum(rng.integers(3600, 90_000, rows)).astype(float)
    return Sessions(np.repeat(np.arange(users), each), start, items, np.arange(users), N)


def split_of(sessions):
    return split_sessions(sessions, test=2, validation=2)


def network(**more):
    return PISANetwork(
        N, length=L, dimension=D, generator=torch.Generator().manual_seed(5), **{"blocks": 2, **more}
    ).eval()


def reader(sessions, rows):
    known = association(sessions, np.arange(len(sessions)))
    return SessionReader(sessions, rows, known, decay=0.5, favourites=F)


# --- the attention


def test_activation_number_by_number():
    """Against the user model of ACT-R, item by item; item 0 was played 1, 2 and 5 hours before."""
    hours = np.array([0.0, 3.0, 4.0, 5.0])
    items = np.array([[0, 3, -1], [0, 1, -1], [0, 2, 1], [4, 5, -1]])
    sessions = Sessions(np.zeros(4, int), hours * 3600, items, np.zeros(1, int), N)
    rng = np.random.default_rng(1)
    e = rng.normal(size=(N, D))
    known = actr.cooccurrence(items, N)
    attention = ACTRAttention()
    with torch.no_grad():
        attention.weight.copy_(torch.tensor([0.7, 0.4, 0.2]))
    # the last session before hour 5 is [0, 2, 1]
    level = {0: actr.base_level_activation(np.array([1.0, 2.0, 5.0]))}
    assert level[0] == pytest.approx(0.76748, abs=1e-5)
    level |= {1: math.log(1 + 2**-0.5), 2: 0.0, 3: math.log(5**-0.5)}
    total = sum(math.exp(b) for b in level.values())
    z, x = [], [0, 2, 1]
    for i in x:
        spread = sum(known[i, j] for j in x if j != i)
        match = sum(e[i] @ e[j] for j in x if j != i)
        parts = (math.exp(level[i]) / total, spread, max(match, 0.0))
        z.append(0.7 * parts[0] + 0.4 * parts[1] + 0.2 * parts[2])
    alpha = np.sqrt(z) / np.sqrt(z).sum()

    rows = np.array([[2, 3]])
    seen = reader(sessions, rows).seen(rows)
    vectors = torch.from_numpy(np.vstack([e, np.zeros(D)]))[seen.items]
    given = (vectors, seen.items < N, seen.base_level.double(), seen.spreading.double())
    found = attention.double().shares(*given)[0, 0]
    np.testing.assert_allclose(found.detach(), alpha, atol=1e-6)
    session = attention(*given)[0, 0].detach()
    np.testing.assert_allclose(session, sum(a * e[i] for a, i in zip(alpha, x, strict=True)), atol=1e-6)


def test_components_can_be_left_out():
    vectors = torch.randn(2, M, D, generator=torch.Generator().manual_seed(0))
    base, spread = torch.tensor([[0.4, 0.1, 0.0], [0.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.9, 0.1]] * 2)
    here = torch.ones(2, M, dtype=torch.bool)
    alone = ACTRAttention(("base_level",)).shares(vectors, here, base, spread)
    # where it is all there is, the weight falls out: shares of square roots, and of nothing the plain mean
    root = np.sqrt([0.4, 0.1, 0.0])
    np.testing.assert_allclose(alone[0].detach(), root / root.sum(), atol=1e-3)
    np.testing.assert_allclose(alone[1].detach(), 1 / 3, atol=1e-6)
    flat = ACTRAttention(("base_level",), flatten=1.0).shares(vectors, here, base, spread)
    np.testing.assert_allclose(flat[0].detach(), [0.8, 0.2, 0.0], atol=1e-5)
    with torch.no_grad():
        both = ACTRAttention(("base_level", "spreading"))
        both.weight[0] = -1.0  # a component of negative weight is out
        np.testing.assert_allclose(
            both.shares(vectors, here, base, spread),
            ACTRAttention(("spreading",)).shares(vectors, here, base, spread),
            atol=1e-3,
        )


def test_empty_cells_have_no_share():
    vectors = torch.randn(2, M, D, generator=torch.Generator().manual_seed(0))
    base, spread = torch.rand(2, M), torch.rand(2, M)
    here = torch.tensor([[True, True, False], [False, False, False]])
    vectors = vectors * here[:, :, None]
    attention = ACTRAttention()
    found = attention.shares(vectors, here, base * here, spread * here)
    assert found[~here].abs().max() == 0
    np.testing.assert_allclose(found.sum(dim=1).detach(), [1, 0], atol=1e-6)
    cut = attention(vectors[:1, :2], here[:1, :2], base[:1, :2], spread[:1, :2])
    np.testing.assert_allclose(attention(vectors, here, base, spread)[:1].detach(), cut.detach(), atol=1e-6)
    assert attention(vectors, here, base, spread)[1].abs().max() == 0


@pytest.mark.parametrize(
    ("components", "more", "message"),
    [
        ((), {}, "components must name some of base_level, spreading, matching once"),
        (("spreading", "spreading"), {}, "components must name some of"),
        (("spread",), {}, "there is no component 'spread': did you mean spreading"),
        (COMPONENTS, {"flatten": 0.0}, "flatten must be above 0, got 0.0"),
    ],
)
def test_an_attention_out_of_range_is_refused(components, more, message):
    with pytest.raises(InputError, match=message):
        ACTRAttention(components, **more)


# --- what is read


def test_windows_hold_what_was_known_then():
    sessions = some_sessions()
    rows = windows(sessions, np.array([7, 10, 30]), L)
    read = reader(sessions, rows)
    seen, (items, own, _) = read.seen(rows), read.next_sessions(rows)
    share = shares(sessions, np.arange(len(sessions)), 0.5)
    for w, t in np.ndindex(3, L):
        now, after = rows[w, t], rows[w, t + 1]
        if now < 0:
            assert (seen.items[w, t] == N).all()
            assert (items[w, t] == N).all()
            assert own[w, t].abs().max() == 0
            continue
        for found, level, session in (
            (seen.items[w, t], seen.base_level[w, t], now),
            (items[w, t], own[w, t], after),
        ):
            assert [i if i < N else -1 for i in found.tolist()] == sessions.items[session].tolist()
            expected = [share[after, i] if i >= 0 else 0 for i in sessions.items[session]]
            np.testing.assert_allclose(level, expected, rtol=1e-6)
        best = np.argsort(-share[after], kind="stable")[:F]
        known = share[after, best] > 0
        assert seen.favourites[w, t][torch.from_numpy(known)].tolist() == best[known].tolist()
        np.testing.assert_allclose(seen.strength[w, t], share[after, best] * known, rtol=1e-6)


# --- the network


def test_the_future_changes_nothing():
    net, sessions = network(), some_sessions()
    rows = windows(sessions, np.array([7, 8, 16]), L)
    state, long = net(reader(sessions, rows).seen(rows))
    for t in range(1, L):
        items = sessions.items.copy()
        for row in rows[:, t:].ravel():  # from what comes after step t - 1 on
            items[row] = (items[row] + 1 + row) % N * (items[row] >= 0) - (items[row] < 0)
        # start times move too, but for the first of these, at which the step is asked
        start = sessions.start.copy()
        for row in rows[:, t + 1 :].ravel():
            start[row] += 100.0
        other = Sessions(sessions.user, start, items, sessions.user_ids, N)
        known = association(sessions, np.arange(len(sessions)))  # is of training, and does not change
        read = SessionReader(other, rows, known, decay=0.5, favourites=F)
        found, slow = net(read.seen(rows))
        apart = np.array([0, 2])  # rows 7 and 16 overlap with no other window's changes
        np.testing.assert_allclose(found[apart, :t].detach(), state[apart, :t].detach(), atol=1e-6)
        np.testing.assert_allclose(slow[apart, :t].detach(), long[apart, :t].detach(), atol=1e-6)
        assert not torch.allclose(found[apart, -1], state[apart, -1], atol=1e-3)


def test_company_and_empty_sessions_change_nothing():
    net, sessions = network(), some_sessions()
    rows = windows(sessions, np.array([1, 2, 8, 11, 30]), L)
    state, long = net(reader(sessions, rows).seen(rows))
    assert torch.isfinite(state).all()
    for w in range(len(rows)):
        there = rows[w, :-1] >= 0
        own = rows[w][np.append(there, True)][None]
        alone, slow = net(reader(sessions, own).seen(own))
        np.testing.assert_allclose(alone[0].detach(), state[w, there].detach(), atol=1e-5)
        np.testing.assert_allclose(slow[0].detach(), long[w, there].detach(), atol=1e-5)
    lengths = state[torch.from_numpy(rows[:, :-1] >= 0)].norm(dim=1)
    np.testing.assert_allclose(lengths.detach(), 1, atol=1e-5)


def test_states_are_those_of_the_equations():
    """One window of two sessions without blocks, in NumPy."""
    net = network(blocks=1)
    weights = {name: value.detach().numpy().astype(np.float64) for name, value in net.named_parameters()}
    net.blocks = torch.nn.ModuleList()  # the blocks are those of SASRec, which its tests check
    rng = np.random.default_rng(3)
    seen = Windows(
        torch.tensor([[[0, 4, N], [7, 1, 2]]]),
        torch.tensor(rng.random((1, 2, M)), dtype=torch.float32) * torch.tensor([[[1, 1, 0], [1, 1, 1]]]),
        torch.tensor(rng.random((1, 2, M)), dtype=torch.float32) * torch.tensor([[[1, 1, 0], [1, 1, 1]]]),
        torch.tensor([[[3, 0, N, N, N], [0, 4, 3, N, N]]]),
        torch.tensor([[[0.7, 0.3, 0, 0, 0], [0.5, 0.3, 0.2, 0, 0]]]),
    )
    e, unit = weights["items.weight"], lambda v: v / np.linalg.norm(v)
    state, long = (found[0].detach().numpy() for found in net(seen))
    for t in range(2):
        x = [i for i in seen.items[0, t].tolist() if i < N]
        z = []
        for m, i in enumerate(x):
            match = max(sum(e[i] @ e[j] for j in x if j != i), 0.0)
            z.append(0.1 * (float(seen.base_level[0, t, m]) + float(seen.spreading[0, t, m]) + match))
        alpha = np.sqrt(z) / np.sqrt(z).sum()
        s = sum(a * e[i] for a, i in zip(alpha, x, strict=True))
        h = unit(math.sqrt(D) * s + weights["positions.weight"][1 - t])
        pairs = zip(seen.favourites[0, t].tolist(), seen.strength[0, t].tolist(), strict=True)
        slow = unit(sum(b * e[i] for i, b in pairs))
        g = np.exp(weights["gate.weight"] @ np.concatenate([slow, h]) + weights["gate.bias"])
        g /= g.sum()
        np.testing.assert_allclose(long[t], slow, atol=1e-5)
        np.testing.assert_allclose(state[t], unit(g[0] * slow + g[1] * h + s), atol=1e-5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"length": 0}, "length must be at least 1, got 0"),
        ({"blocks": 0}, "blocks must be at least 1, got 0"),
        ({"heads": 3}, r"dimension must be a multiple of heads \(3\), got 8"),
    ],
)
def test_a_network_out_of_range_is_refused(changed, message):
    kwargs = {"length": L, "dimension": D, "blocks": 2, **changed}
    with pytest.raises(InputError, match=message):
        PISANetwork(N, generator=torch.Generator(), **kwargs)


# --- the loss


def test_bpr_by_hand():
    states = torch.tensor([[[[1.0, 0.0], [0.5, 0.5]]]])  # (1, 1, 2, 2)
    positive = torch.tensor([[[[2.0, 0.0], [0.0, 1.0], [9.0, 9.0]]]])
    negative = torch.tensor([[[[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]]])
    there = torch.tensor([[[True, True, False]]])
    found = bpr(states, positive - negative, there)

    def cost(x):
        return math.log(1 + math.exp(-x))

    np.testing.assert_allclose(found, [(cost(2) + cost(-1)) / 2, (cost(0.5) + cost(0)) / 2], atol=1e-6)


def test_the_loss_is_made_of_its_parts():
    split = split_of(some_sessions())
    agent = recommender(long_weight=0.3)
    agent.begin(split)
    rows = training_windows(split, length=L, stride=2)[:3]
    found = agent.loss(rows, torch.Generator().manual_seed(4)).item()
    net, read = agent.network_, agent._reader
    state, long = net(read.seen(rows))
    items, base, spread = read.next_sessions(rows)
    drawn = draw_negatives(items, agent._drawn, torch.Generator().manual_seed(4))
    vector = net.items.weight.detach().numpy().astype(np.float64)
    target = net.sessions(items, base, spread).detach().numpy()
    target /= np.linalg.norm(target, axis=2, keepdims=True)
    kinds = {"v": [], "u": [], "l": []}
    cosines = []
    for w, t in np.ndindex(3, L):
        q = {"v": target[w, t], "u": state[w, t].detach().numpy(), "l": long[w, t].detach().numpy()}
        cosines.append(q["v"] @ q["u"])
        for m in range(M):
            i, n = int(items[w, t, m]), int(drawn[w, t, m])
            if i < N:
                for kind, state_ in q.items():
                    kinds[kind].append(math.log(1 + math.exp(-(state_ @ (vector[i] - vector[n])))))
    v, u, slow = (np.mean(kinds[kind]) for kind in "vul")
    expected = 0.9 * (0.9 * v + 0.1 * u + 0.3 * slow) + 0.1 * (1 - np.mean(cosines))
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("negatives", ["uniform", "popularity"])
def test_negatives_are_drawn_as_said_and_are_not_of_the_session(negatives):
    split = split_of(some_sessions())
    agent = recommender(negatives=negatives)
    agent.begin(split)
    items = torch.full((400, 10, M), N)
    items[:, :, 0] = 3
    drawn = draw_negatives(items, agent._drawn, torch.Generator().manual_seed(0)).numpy().ravel()
    assert not (drawn == 3).any()
    train = split.sessions.items[split.rows(TRAIN)].reshape(5, -1)
    users = np.array([(train == i).any(axis=1).sum() for i in range(N)], float)
    p = np.sqrt(users) if negatives == "popularity" else np.ones(N)
    p[3] = 0
    p /= p.sum()
    share = np.bincount(drawn, minlength=N) / len(drawn)
    assert (np.abs(share - p) < 5 * np.sqrt(p * (1 - p) / len(drawn)) + 1e-12).all()


# --- the training


def recommender(**more):
    kwargs = {
        "dimension": 16,
        "length": L,
        "stride": 2,
        "favourites": F,
        "epochs": 6,
        "batch_size": 4,
        "learning_rate": 0.01,
    }
    return PISA(**{**kwargs, **more})


def rounds(users=20, num_items=24, each=14):
    """Every user goes round a circle of sessions: {0, 1, 2}, {3, 4, 5}, ..."""
    steps = num_items // 3
    first = np.random.default_rng(0).integers(0, steps, users)
    number = (first[:, None] + np.arange(each)) % steps
    items = 3 * number.reshape(-1, 1) + np.arange(3)
    start = np.tile(86_400.0 * np.arange(each), users)
    return split_of(Sessions(np.repeat(np.arange(users), each), start, items, np.arange(users), num_items))


def test_learns_what_comes_next():
    """The last session, which the skip connection keeps in mind, may stand first; then comes the next one."""
    split = rounds()
    agent = recommender(epochs=24, patience=24, stride=2, batch_size=8)
    agent.begin(split)
    untrained = evaluate_sessions(agent, split, TEST, 6)["recall"]
    found = evaluate_sessions(agent.fit(split), split, TEST, 6)["recall"]
    assert untrained.mean() < 0.4  # by chance 6 of 24
    assert found.mean() > 0.9


def test_repeats_and_goes_on_as_if_unbroken():
    split = split_of(some_sessions(users=12))
    whole, again = recommender(epochs=4).fit(split), recommender(epochs=4).fit(split)
    rows = split.rows(TEST)
    assert (whole.validation_ == again.validation_).all()
    scores = whole.scores(split.sessions, rows)
    np.testing.assert_array_equal(scores, again.scores(split.sessions, rows))
    assert (recommender(epochs=4, seed=1).fit(split).scores(split.sessions, rows) != scores).any()

    first = recommender(epochs=2).fit(split)
    torch.rand(9), np.random.default_rng().random(3)  # what others draw changes nothing
    second = recommender(epochs=4)
    second.begin(split)
    for part in ("network_", "best_", "optimiser_"):
        getattr(second, part).load_state_dict(getattr(first, part).state_dict())
    second.validation_ = first.validation_
    while not second.finished:
        second.train_epoch()
    assert (second.validation_ == whole.validation_).all()
    np.testing.assert_array_equal(second.scores(split.sessions, rows), scores)


def test_scores_depend_on_what_came_before_alone():
    split = split_of(some_sessions())
    fitted = recommender(epochs=2).fit(split)
    sessions, rows = split.sessions, np.array([7, 8, 17, 9, 28])
    scores = fitted.scores(sessions, rows)
    assert scores.shape == (5, N)
    assert np.isfinite(scores).all()
    for b, row in enumerate(rows):
        np.testing.assert_allclose(fitted.scores(sessions, rows[b : b + 1])[0], scores[b], atol=1e-5)
        items = sessions.items.copy()
        items[row:, 0] = (items[row:, 0] + 1) % N
        items[row:, 1:] = -1
        later = Sessions(sessions.user, sessions.start, items, sessions.user_ids, N)
        np.testing.assert_allclose(fitted.scores(later, rows[b : b + 1])[0], scores[b], atol=1e-5)


def test_test_sessions_are_not_learned_from():
    split = split_of(some_sessions())
    items = split.sessions.items.copy()
    items[split.part == TEST] = [5, -1, -1]
    other = Sessions(split.sessions.user, split.sessions.start, items, split.sessions.user_ids, N)
    one, two = recommender(epochs=2).fit(split), recommender(epochs=2).fit(split_of(other))
    assert (one.validation_ == two.validation_).all()
    rows = split.rows(VALIDATION)
    np.testing.assert_array_equal(one.scores(split.sessions, rows), two.scores(split.sessions, rows))


def test_training_ends_when_patience_does_and_keeps_the_best():
    split = split_of(some_sessions(users=12))
    fitted = recommender(epochs=200, patience=2).fit(split)
    assert len(fitted.validation_) == fitted.validation_.argmax() + 3
    short = recommender(epochs=int(fitted.validation_.argmax()) + 1).fit(split)
    rows = split.rows(TEST)
    np.testing.assert_array_equal(fitted.scores(split.sessions, rows), short.scores(split.sessions, rows))


def test_a_loss_that_is_no_number_stops_and_keeps_the_best():
    split = split_of(some_sessions())
    fitted = recommender(epochs=3)
    fitted.begin(split)
    fitted.train_epoch()
    rows = split.rows(TEST)
    before = fitted.scores(split.sessions, rows)
    with torch.no_grad():
        fitted.network_.gate.weight.fill_(torch.nan)
    with pytest.raises(
        InputError, match=r"the loss is nan at step 0 of epoch 1: lower learning_rate \(0\.01\)"
    ):
        fitted.train_epoch()
    np.testing.assert_array_equal(fitted.scores(split.sessions, rows), before)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"favourites": 0}, "favourites must be at least 1, got 0"),
        ({"stride": 0}, "stride must be at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0 and finite, got 0.0"),
        ({"long_weight": -1.0}, "long_weight must be 0 or more, got -1.0"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"negatives": "log"}, "there is no way of drawing negatives 'log'"),
        ({"components": ("pm",)}, "there is no component 'pm'"),
    ],
)
def test_a_training_that_cannot_be_is_refused(more, message):
    with pytest.raises(InputError, match=message):
        recommender(**more).fit(split_of(some_sessions()))


def test_sessions_of_the_whole_catalogue_leave_no_negative():
    sessions = some_sessions()
    few = Sessions(sessions.user, sessions.start, np.where(sessions.items >= 0, 0, -1), sessions.user_ids, N)
    few.items[:, 1:] = -1
    few.items[0] = [1, 2, -1]
    with pytest.raises(InputError, match="must hold more than the 3 items of a session, got 3: no negative"):
        recommender().fit(split_of(few))
    with pytest.raises(InputError, match=r"PISA has learned nothing yet: call fit\(split\) first"):
        recommender().scores(few, np.array([1]))
