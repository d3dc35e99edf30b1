"""Policies over a catalogue: one distribution in training, search and sampling; trained on a log."""

import numpy as np
import pytest
from scipy.stats import chisquare

pytest.importorskip("torch")
import torch

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
from recsim_env.agents.generative.generative_recommender import GenerativeRecommender
from recsim_env.agents.generative.heads.autoregressive import AutoregressiveHead
from recsim_env.agents.generative.heads.decoder import DecoderHead
from recsim_env.agents.generative.heads.expert_units import RATE, ExpertUnits
from recsim_env.agents.generative.heads.head import IdentifierHead, Past
from recsim_env.agents.generative.heads.parallel import ParallelHead
from recsim_env.agents.generative.heads.projection import ProjectionHead
from recsim_env.agents.generative.item_encoders.code_vectors import CodeVectors
from recsim_env.agents.generative.policy import GenerativePolicy
from recsim_env.agents.generative.tokenisers.numbered import atomic, random
from recsim_env.agents.recommender import recommend
from recsim_env.agents.sequential.neural.encoders.bert4rec import BERT4Rec
from recsim_env.agents.sequential.neural.encoders.interval_sasrec import IntervalSASRec
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec
from recsim_env.agents.sequential.neural.encoders.sigma import SIGMA
from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import Luck

pytestmark = pytest.mark.extra

N, D = 60, 16
SIZES = (4, 4, 4)
HEADS = ("autoregressive", "decoder", "experts", "parallel", "projection")


def identifiers(head):
    return atomic(N) if head == "projection" else random(N, levels=3, size=4, seed=1)


def policy_of(head, num_items=N, generator=None, *, shared=False):
    """A small one; `shared`: three items have each identifier."""
    generator = generator or torch.Generator().manual_seed(0)
    made = identifiers(head)
    codes = made.codes // 3 if shared and head == "projection" else made.codes
    if shared and head != "projection":
        codes = made.codes[np.arange(N) // 3]
    items = ItemVectors(num_items, D) if head == "projection" else CodeVectors(codes, made.level_sizes, D)
    encoder = SASRec(items, max_length=8, blocks=1, dropout=0.0, generator=generator)
    heads = {
        "autoregressive": lambda: AutoregressiveHead(made.level_sizes, D, dropout=0.0, generator=generator),
        "decoder": lambda: DecoderHead(made.level_sizes, D, blocks=2, dropout=0.0, generator=generator),
        "experts": lambda: DecoderHead(
            made.level_sizes, D, blocks=1, dropout=0.0, experts=4, generator=generator
        ),
        "parallel": lambda: ParallelHead(made.level_sizes, D, generator=generator),
        "projection": lambda: ProjectionHead(items),
    }
    return GenerativePolicy(encoder, heads[head](), CatalogueTrie(codes, made.level_sizes))


def sharp(policy, seed=3):
    """Weights so large that users and items differ."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.4, generator=generator)
    return policy.eval()


HISTORY = torch.tensor([[-1, -1, 3, 7], [5, 5, 9, 11], [-1, -1, -1, 2]])
EVERY = torch.arange(N).expand(3, N)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("shared", [False, True])
def test_log_prob_is_a_distribution_over_the_catalogue(head, shared):
    if head == "projection" and shared:
        pytest.skip("items of a projection head are their own codes")
    policy = sharp(policy_of(head, shared=shared))
    log_pi = policy.log_prob(HISTORY, EVERY)
    np.testing.assert_allclose(log_pi.exp().sum(dim=1).detach(), 1.0, atol=1e-5)
    assert log_pi.std(dim=1).min() > 0.1
    one = policy.log_prob(HISTORY[1:2], torch.tensor([[4, 50, 4]]))
    torch.testing.assert_close(one, log_pi[1:2, [4, 50, 4]])


@pytest.mark.parametrize("head", HEADS)
def test_beams_as_wide_as_the_catalogue_find_the_best_items(head):
    policy = sharp(policy_of(head))
    log_pi = policy.log_prob(HISTORY, EVERY).detach()
    items, found = policy.generate(HISTORY, 10, width=N)
    best = log_pi.topk(10, dim=1)
    torch.testing.assert_close(found, best.values)
    assert torch.equal(items, best.indices)
    allow = torch.ones(3, N, dtype=torch.bool)
    allow[1, items[1, :3]] = False
    without, _ = policy.generate(HISTORY, 10, width=N, allow=allow)
    assert torch.equal(without[0], items[0])
    assert torch.equal(without[1, :7], items[1, 3:])


@pytest.mark.parametrize("head", ["autoregressive", "decoder", "experts"])
def test_codes_that_are_remembered_say_what_prefixes_read_anew_say(head):
    policy, luck = sharp(policy_of(head)), torch.Generator().manual_seed(2)
    past = policy.past(HISTORY)
    remembering, anew = policy.head.next_code(past), IdentifierHead.next_code(policy.head, past)
    codes, parents = torch.full((3, 1), -1), torch.zeros(3, 1, dtype=torch.int64)
    for level, beams in enumerate((5, 3, 4)):
        found, wanted = remembering(level, parents, codes), anew(level, parents, codes)
        torch.testing.assert_close(found, wanted)
        assert found.std() > 0.1
        parents = torch.randint(codes.shape[1], (3, beams), generator=luck)
        codes = torch.randint(SIZES[level], (3, beams), generator=luck)


@pytest.mark.parametrize("head", HEADS)
def test_sampled_frequencies_are_those_of_log_prob(head):
    policy = sharp(policy_of(head))
    pi = policy.log_prob(HISTORY[1:2], EVERY[:1]).detach()[0].exp().double()
    users = HISTORY[1:2].expand(300, -1)
    items, log_pi = policy.generate(users, 20, "sample", luck=Luck.from_seeds(range(300)))
    torch.testing.assert_close(log_pi, policy.log_prob(users, items).detach(), atol=1e-5, rtol=1e-4)
    seen = np.bincount(items.flatten().numpy(), minlength=N)
    often = (pi > 0.002).numpy()
    expected = np.append(pi.numpy()[often], pi.numpy()[~often].sum()) * 6000
    observed = np.append(seen[often], seen[~often].sum())
    assert chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-3


def test_draws_without_putting_back_differ_and_depend_on_the_user_alone():
    policy = sharp(policy_of("autoregressive"))
    items, log_pi = policy.generate(HISTORY, 15, "gumbel", luck=Luck.from_seeds(range(3)))
    assert all(len(set(row)) == 15 for row in items.tolist())
    torch.testing.assert_close(log_pi, policy.log_prob(HISTORY, items).detach(), atol=1e-5, rtol=1e-4)
    for mode in ("gumbel", "sample"):
        together = policy.generate(HISTORY, 15, mode, luck=Luck.from_seeds(range(3)))[0]
        alone = policy.generate(HISTORY[2:], 15, mode, luck=Luck.from_seeds([2]))[0]
        assert torch.equal(alone[0], together[2])


@pytest.mark.parametrize("head", HEADS)
def test_gradients_of_log_prob_are_those_of_finite_differences(head):
    policy = sharp(policy_of(head)).double()
    items = torch.tensor([[3, 17], [59, 0], [8, 8]])
    for parameter in policy.parameters():
        policy.zero_grad()
        weights = torch.tensor([[1.0, -0.5], [0.3, 2.0], [0.7, 0.1]], dtype=torch.float64)
        (policy.log_prob(HISTORY, items) * weights).sum().backward()
        if parameter.grad is None:
            continue
        direction = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)).double()
        expected, values = (parameter.grad * direction).sum(), []
        with torch.no_grad():
            for step in (1e-6, -2e-6):  # so small that the same experts are chosen
                parameter += step * direction
                values.append(float((policy.log_prob(HISTORY, items) * weights).sum()))
            parameter += 1e-6 * direction
        assert (values[0] - values[1]) / 2e-6 == pytest.approx(float(expected), rel=1e-3, abs=1e-4)


def test_beams_go_through_prefixes_that_are_kept_alone():
    """Whatever is pruned at any level, what is found is the best of what is left."""
    policy = sharp(policy_of("autoregressive"))
    node_of, first = policy.trie.node_of, policy.trie.first_item
    kept = [
        None,
        *(torch.rand(len(one) - 1, generator=torch.Generator().manual_seed(3)) < 0.7 for one in first[1:]),
    ]
    items, found = policy.generate(HISTORY, 10, width=N, keep=lambda level, nodes: kept[level][nodes])
    left = torch.stack([kept[level][node_of[level]] for level in (1, 2, 3)]).all(dim=0)
    log_pi = policy.log_prob(HISTORY, EVERY).detach().masked_fill(~left, -torch.inf)
    best = log_pi.topk(10, dim=1)
    torch.testing.assert_close(found, best.values)
    assert torch.equal(items, torch.where(best.values == -torch.inf, -1, best.indices))
    narrow, _ = policy.generate(HISTORY, 3, keep=lambda level, nodes: kept[level][nodes])
    assert left[narrow[narrow >= 0]].all()
    nothing, _ = policy.generate(HISTORY, 3, keep=lambda level, nodes: torch.zeros_like(nodes) > 0)
    assert (nothing == -1).all()


def test_only_the_last_items_of_a_history_are_read():
    policy = sharp(policy_of("autoregressive"))
    long = torch.cat(
        [torch.randint(0, N, (3, 6), generator=torch.Generator().manual_seed(1)), HISTORY], dim=1
    )
    items = torch.tensor([[1], [2], [3]])
    full = torch.randint(0, N, (3, 8), generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        policy.log_prob(torch.cat([long, full], dim=1), items), policy.log_prob(full, items)
    )


@pytest.mark.parametrize("head", ["decoder", "experts"])
def test_steps_learned_from_at_once_are_those_of_each_history(head):
    """What a step looks at is its own past: neither later items nor empty cells."""
    policy = sharp(policy_of(head))
    torch.nn.init.zeros_(policy.encoder.positions.weight)  # they count from the end of the row
    rows = torch.tensor([[N, N, 3, 7], [5, 5, 9, 11]])
    steps = policy.steps(policy.encoder(rows), rows)
    together = policy.log_prob_of(steps, EVERY[:2, None].expand(2, 4, N))
    for user, step in ((0, 2), (0, 3), (1, 0), (1, 2), (1, 3)):
        history = torch.where(rows == N, -1, rows)[user : user + 1, : step + 1]
        alone = policy.log_prob(history, EVERY[:1])[0]
        torch.testing.assert_close(together[user, step], alone, atol=1e-5, rtol=1e-4)


def test_a_decoder_looks_at_more_than_the_last_state():
    policy = sharp(policy_of("decoder"))
    past = policy.past(HISTORY)
    memory = past.memory.clone()
    memory[1, 0] += 1.0
    items = torch.tensor([[[3]], [[17]], [[8]]])
    before = policy.log_prob_of(past, items)
    after = policy.log_prob_of(Past(past.state, memory, past.seen), items)
    assert before[1, 0, 0] != after[1, 0, 0]
    torch.testing.assert_close(before[[0, 2]], after[[0, 2]])
    memory = past.memory.clone()
    memory[0, 0] += 1.0  # an empty cell
    torch.testing.assert_close(before, policy.log_prob_of(Past(past.state, memory, past.seen), items))


def test_experts_against_a_loop():
    experts = ExpertUnits(6, 2, 5, 2)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in experts.parameters():
            parameter.normal_(0.0, 1.0, generator=generator)
        experts.favour.copy_(torch.tensor([0.0, 0.3, -0.2, 0.0, 0.1]))
    x = torch.randn(3, 4, 6, generator=generator)
    favour, load = experts.favour.clone(), torch.zeros(5)
    found = experts.train()(x)
    for place in np.ndindex(3, 4):
        share = torch.softmax(experts.router(x[place]), dim=0)
        chosen = torch.argsort(-(share + favour))[:2]
        load[chosen] += 1
        expected = sum(
            share[e] / share[chosen].sum() * experts.out[e](torch.relu(experts.units[e](x[place])))
            for e in chosen
        )
        torch.testing.assert_close(found[place], expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(experts.favour, favour + RATE * torch.sign(load.mean() - load))
    assert torch.equal(experts.eval()(x), experts(x))  # where nothing moves
    with pytest.raises(InputError, match=r"active must be at most the experts \(2\), got 3"):
        ExpertUnits(6, 2, 2, 3)


def test_experts_are_used_evenly_in_the_end():
    generator = torch.Generator().manual_seed(0)
    experts = ExpertUnits(6, 1, 4, 1)
    with torch.no_grad():
        experts.router.weight.normal_(0.0, 0.1, generator=generator)
        experts.router.weight[0] += 0.3  # the first would be chosen nearly always
    x = torch.randn(2000, 6, generator=generator).abs()

    def most() -> float:
        share = torch.softmax(experts.router(x), dim=1) + experts.favour
        return float(torch.bincount(share.argmax(dim=1), minlength=4).max() / len(x))

    before = most()
    for _ in range(300):
        experts.train()(x)
    assert before > 0.9
    assert most() < 0.35


def test_weights_of_other_identifiers_are_refused():
    one, other = policy_of("autoregressive"), policy_of("autoregressive", shared=True)
    one.load_state_dict(policy_of("autoregressive").state_dict())
    with pytest.raises(InputError, match="items have other codes"):
        one.load_state_dict(other.state_dict())


def test_a_temperature_divides_logits_everywhere():
    cold, warm = sharp(policy_of("decoder")), sharp(policy_of("decoder"))
    warm.temperature = 2.0
    past = cold.past(HISTORY)
    first = cold.head(past, torch.zeros(3, 1, 1, 0, dtype=torch.int64))[0][:, 0, 0]
    top = torch.log_softmax(first / 2.0, dim=1).gather(1, cold.trie.codes[[3, 5, 7], 0, None])
    found = warm.log_probs_of(past, torch.tensor([[[3]], [[5]], [[7]]]))[:, 0, 0, 0]
    torch.testing.assert_close(found, top[:, 0])
    items, log_pi = warm.generate(HISTORY, 5, width=N)
    torch.testing.assert_close(log_pi, warm.log_prob(HISTORY, items).detach())
    with pytest.raises(InputError, match="temperature must be"):
        GenerativePolicy(cold.encoder, cold.head, cold.trie, temperature=0.0)


def test_an_encoder_that_reads_the_whole_trains_on_the_last_step():
    def make(num_items, generator):
        made = identifiers("decoder")
        items = CodeVectors(made.codes, made.level_sizes, D)
        encoder = SIGMA(items, max_length=8, dropout=0.0, generator=generator)
        assert encoder.reads == "whole"
        head = DecoderHead(made.level_sizes, D, dropout=0.0, generator=generator)
        return GenerativePolicy(encoder, head, CatalogueTrie(made.codes, made.level_sizes))

    recommender = GenerativeRecommender(
        make, epochs=25, patience=25, learning_rate=0.02, batch_size=64, num_items=N, device="cpu", seed=1
    ).fit(pairs_log())
    assert recommender.validation_.max() > 0.8


def test_vectors_of_codes():
    codes = np.array([[0, 1], [0, 0], [1, 1]])
    vectors = CodeVectors(codes, (2, 2), 4)
    with torch.no_grad():
        table = torch.randn(5, 4)
        vectors.learned.weight.copy_(table)
    found = vectors(torch.tensor([[0, 3], [2, 1]])).detach()
    torch.testing.assert_close(found[0, 0], table[0] + table[3])
    torch.testing.assert_close(found[1, 0], table[1] + table[3])
    assert not found[0, 1].any()
    torch.testing.assert_close(vectors.all().detach()[1], table[0] + table[2])


def pairs_log(users=240, seed=0):
    """Users go along a ring of items, three steps at a time, from where they begin."""
    rng = np.random.default_rng(seed)
    start, length = rng.integers(N, size=users), 6
    item = (start[:, None] + 3 * np.arange(length)) % N
    user, time = np.repeat(np.arange(users), length), np.tile(np.arange(length), users)
    return Log(user, time, item.reshape(-1, 1), np.ones((users * length, 1), bool))


@pytest.mark.parametrize("head", HEADS)
def test_training_on_a_log_learns_what_comes_next(head):
    def make(num_items, generator):
        return policy_of(head, num_items, generator)

    recommender = GenerativeRecommender(
        make, epochs=60, patience=60, learning_rate=0.02, batch_size=64, num_items=N, device="cpu", seed=1
    ).fit(pairs_log())
    assert recommender.validation_.max() > 0.95
    history = np.array([[1, 4, 7], [-1, 20, 23]])
    assert recommender.lists(history, 1, mask_history=False)[:, 0].tolist() == [10, 26]
    log_pi = recommender.scores(history)
    np.testing.assert_allclose(np.exp(log_pi).sum(axis=1), 1.0, atol=1e-4)
    wide = recommender.lists(history, 5, mask_history=True, width=N)
    assert np.array_equal(wide, recommend(recommender, history, 5, mask_history=True))
    again = GenerativeRecommender(
        make, epochs=3, patience=60, learning_rate=0.02, batch_size=64, num_items=N, device="cpu", seed=1
    ).fit(pairs_log())
    assert np.array_equal(again.validation_, recommender.validation_[:3])


def small(head="autoregressive", **more):
    settings = {"epochs": 2, "learning_rate": 0.01, "batch_size": 64, "num_items": N, "device": "cpu", **more}
    return GenerativeRecommender(
        lambda num_items, generator: policy_of(head, num_items, generator), **settings
    )


def test_what_a_fitted_policy_says_does_not_change():
    """Neither dropout nor what was measured before has a part in it."""

    def with_dropout(num_items, generator):
        policy = policy_of("autoregressive", num_items, generator)
        policy.encoder.dropout.share = 0.5
        return policy

    fitted = GenerativeRecommender(
        with_dropout, epochs=1, batch_size=64, num_items=N, device="cpu", learning_rate=0.01
    ).fit(pairs_log())
    items = torch.tensor([[3, 17], [59, 0], [8, 8]])
    assert torch.equal(fitted.policy_.log_prob(HISTORY, items), fitted.policy_.log_prob(HISTORY, items))
    policy = fitted.policy_.train()
    first, again = (policy.generate(HISTORY, 5)[1] for _ in range(2))
    assert torch.equal(first, again)
    assert policy.training


def test_going_on_takes_as_many_gradients_and_keeps_what_was_fitted():
    fitted = small().fit(pairs_log())
    items = torch.tensor([[3, 17], [59, 0], [8, 8]])
    before = fitted.policy_.log_prob(HISTORY, items).detach()
    assert torch.equal(fitted.continued(0, 0.01).log_prob(HISTORY, items), before)
    counted = []
    original = fitted._mean_loss
    fitted._mean_loss = lambda *args: counted.append(1) or original(*args)
    more = fitted.continued(7, 0.01)
    assert len(counted) == 7
    assert not more.training
    assert torch.equal(fitted.policy_.log_prob(HISTORY, items), before)
    history, target = torch.tensor([[1, 4, 7], [-1, 20, 23]]), torch.tensor([[10], [26]])
    longer = fitted.continued(60, 0.01)
    assert longer.log_prob(history, target).mean() > fitted.policy_.log_prob(history, target).mean()
    assert torch.equal(longer.log_prob(history, target), fitted.continued(60, 0.01).log_prob(history, target))


def test_a_user_who_had_everything_is_shown_nothing():
    fitted = small().fit(pairs_log())
    all_of_them = np.arange(N)[None].repeat(2, axis=0)
    all_of_them[1] = 3
    lists = fitted.lists(all_of_them, 4, mask_history=True)
    assert lists[0].tolist() == [-1] * 4
    assert (lists[1] >= 0).all()
    assert (lists[1] != 3).all()


def test_the_catalogue_goes_where_the_weights_go():
    policy = policy_of("autoregressive").to("meta")
    assert policy.trie.items.is_meta
    assert all(one is None or one.is_meta for one in (*policy.trie.table, *policy.trie.first_child))


def test_sasrec_as_a_policy_learns_what_sasrec_does():
    """A projection head under cross-entropy is SASRec with full softmax: the same losses, step by step."""
    settings = {
        "epochs": 2,
        "patience": 5,
        "learning_rate": 0.01,
        "batch_size": 64,
        "num_items": N,
        "seed": 4,
    }

    def encoder(num_items, generator):
        return SASRec(ItemVectors(num_items, D), max_length=8, blocks=1, dropout=0.0, generator=generator)

    def policy(num_items, generator):
        made = encoder(num_items, generator)
        trie = CatalogueTrie(atomic(num_items).codes, (num_items,))
        return GenerativePolicy(made, ProjectionHead(made.items), trie)

    ours = GenerativeRecommender(policy, device="cpu", **settings).fit(pairs_log())
    theirs = NeuralRecommender(encoder, objective="full_softmax", device="cpu", **settings).fit(pairs_log())
    history = np.array([[1, 4, 7], [-1, 20, 23]])
    difference = ours.scores(history) - theirs.scores(history)
    np.testing.assert_allclose(
        difference, difference.mean(axis=1, keepdims=True).repeat(N, axis=1), atol=1e-4
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: p.generate(HISTORY, 3, "greedy"), "there is no mode 'greedy'"),
        (lambda p: p.generate(HISTORY, 3, luck=Luck.from_seeds(range(3))), "beam draws nothing"),
        (lambda p: p.generate(HISTORY, 3, "sample"), "sample needs the luck of 3 users, got none"),
        (
            lambda p: p.generate(HISTORY, 3, "gumbel", luck=Luck.from_seeds([1])),
            "gumbel needs the luck of 3 users, got that of 1",
        ),
        (
            lambda p: p.generate(
                HISTORY, 3, "sample", luck=Luck.from_seeds(range(3)), allow=torch.ones(N, dtype=torch.bool)
            ),
            "sample draws from pi itself",
        ),
        (
            lambda p: p.generate(HISTORY, 3, "sample", luck=Luck.from_seeds(range(3)), width=9),
            "width is of beam, got 9 with sample",
        ),
        (lambda p: p.generate(HISTORY, 3, allow=torch.zeros(N, dtype=torch.bool)), "leaves no item"),
        (lambda p: p.generate(HISTORY, 3, keep=lambda level, nodes: nodes), "keep must return flags of"),
        (
            lambda p: p.generate(
                HISTORY, 3, "sample", luck=Luck.from_seeds(range(3)), keep=lambda level, nodes: nodes > 0
            ),
            "keep is of beam, got it with sample",
        ),
        (lambda p: p.log_prob(HISTORY, torch.full((3, 1), N)), f"item {N} is not in the catalogue of {N}"),
        (lambda p: p.log_prob(HISTORY, torch.full((3, 1), -1)), "item -1 is not in the catalogue"),
        (lambda p: p.past(torch.tensor([[3, -1]])), "has an empty cell behind an item"),
        (lambda p: p.past(torch.tensor([[-1, N]])), f"item {N} of a history is none"),
        (lambda p: p.past(torch.tensor([3, 4])), "history must be"),
    ],
)
def test_bad_calls_of_a_policy(call, message):
    with pytest.raises(InputError, match=message):
        call(policy_of("autoregressive"))


def test_parts_that_do_not_go_together():
    generator = torch.Generator()
    items = ItemVectors(N, D)
    trie = CatalogueTrie(identifiers("parallel").codes, SIZES)
    head = ParallelHead(SIZES, D, generator=generator)
    with pytest.raises(
        InputError, match="BERT4Rec reads around: a policy needs an encoder that reads the past or the whole"
    ):
        GenerativePolicy(BERT4Rec(items, max_length=8, generator=generator), head, trie)
    with pytest.raises(InputError, match=f"the encoder has {N + 1} items, and the catalogue {N}"):
        GenerativePolicy(SASRec(ItemVectors(N + 1, D), generator=generator), head, trie)
    with pytest.raises(
        InputError, match=r"the head has levels of \(4, 4\) codes, and the catalogue of \(4, 4, 4\)"
    ):
        GenerativePolicy(
            SASRec(items, generator=generator), ParallelHead((4, 4), D, generator=generator), trie
        )

    other = ProjectionHead(ItemVectors(N, D))
    with pytest.raises(InputError, match=r"make it of encoder\.items"):
        GenerativePolicy(SASRec(items, generator=generator), other, CatalogueTrie(atomic(N).codes, (N,)))
    turned = CatalogueTrie(atomic(N).codes[::-1], (N,))
    with pytest.raises(InputError, match="in the order of the items"):
        GenerativePolicy(SASRec(items, generator=generator), ProjectionHead(items), turned)
    with pytest.raises(InputError, match="codes are from 0 to below their level's size"):
        CodeVectors(np.array([[0, 2]]), (2, 2), 4)
    with pytest.raises(InputError, match="objective must be left out"):
        small(objective="bce")

    def timed(num_items, generator):
        return GenerativePolicy(
            IntervalSASRec(ItemVectors(num_items, D), max_length=8, generator=generator), head, trie
        )

    with pytest.raises(InputError, match="IntervalSASRec reads the time between items"):
        GenerativeRecommender(timed, num_items=N).fit(pairs_log())
