"""Distillation of policies: against sums over the whole catalogue, and what a taught student is worth."""

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
from recsim_env.agents.generative.encoders.code_sequence import CodeSequence
from recsim_env.agents.generative.generative_recommender import GenerativeRecommender, PolicyEncoder
from recsim_env.agents.generative.heads.autoregressive import AutoregressiveHead
from recsim_env.agents.generative.heads.decoder import DecoderHead
from recsim_env.agents.generative.heads.projection import ProjectionHead
from recsim_env.agents.generative.item_encoders.code_vectors import CodeVectors
from recsim_env.agents.generative.losses.distillation import PolicyDistillation
from recsim_env.agents.generative.policy import GenerativePolicy
from recsim_env.agents.generative.tokenisers.numbered import atomic, random
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec
from recsim_env.agents.sequential.neural.sequences import Sequences
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.simulators.log import Log
from recsim_env.simulators.shortcut_bench import succession_law, succession_log
from recsim_env.simulators.splits import leave_one_out

pytestmark = pytest.mark.extra

N, D = 40, 16
MADE = random(N, levels=3, size=5, seed=1)


def policy_of(
    seed=0, *, made=MADE, dimension=D, blocks=1, dropout=0.0, temperature=1.0, reads="past", max_length=6
):
    """One with weights so large that items differ, which is in training as it leaves here."""
    generator = torch.Generator().manual_seed(seed)
    if made.codes.shape[1] == 1:
        items = ItemVectors(N, dimension)
        head = ProjectionHead(items)
    else:
        items = CodeVectors(made.codes, made.level_sizes, dimension)
        head = DecoderHead(made.level_sizes, dimension, dropout=dropout, generator=generator)
    more = {"blocks": blocks, "dropout": dropout, "generator": generator}
    if reads == "past":
        encoder = SASRec(items, max_length=max_length, **more)
    else:
        encoder = CodeSequence(items, max_length=max_length, reads=reads, **more)
    trie = CatalogueTrie(made.codes, made.level_sizes)
    policy = GenerativePolicy(encoder, head, trie, temperature=temperature)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.4, generator=generator)
    return policy.train()


def rows_of(users=5):
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(users), rng.integers(2, 8, users))
    log = Log.from_interactions(user, rng.integers(0, N, len(user)), np.arange(len(user), dtype=float))
    sequences = Sequences.of_log(log, N, 7)
    return sequences, sequences.next_items(np.arange(users))


def loss_of(student, teacher, **options):
    network, (sequences, rows) = PolicyEncoder(student), rows_of()
    distillation = PolicyDistillation(teacher, **options)
    distillation.begin(network, sequences, torch.Generator())
    states = network(torch.from_numpy(rows.items))
    return distillation.loss(network, sequences, rows, states, torch.Generator()), distillation


def of_all_items(policy, rows):
    """Pi (U, Q, N) at every step."""
    items = torch.from_numpy(rows.items)
    policy = policy.eval()
    past = policy.steps(policy.encoder(items), items)
    found = policy.log_prob_of(past, torch.arange(N).expand(*items.shape, N)).detach().double().exp().numpy()
    np.testing.assert_allclose(found.sum(axis=2), 1.0, atol=1e-5)
    policy.train()
    return found


def conditional(pi, codes, item, level, temperature):
    """p (codes that some item has,) of a level, given the codes of an item before it, from pi (N,)."""
    alike = (codes[:, :level] == codes[item, :level]).all(axis=1)
    children = np.unique(codes[alike, level])
    p = np.array([pi[alike & (codes[:, level] == child)].sum() for child in children]) ** (1 / temperature)
    return p / p.sum()


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("reads", ["past", "whole"])
def test_against_sums_over_the_catalogue(temperature, reads):
    """The students' own temperature differs, too; one that reads the whole learns at the last step alone."""
    teacher, student = policy_of(1, temperature=0.7), policy_of(2, reads=reads)
    found, _ = loss_of(student, teacher, temperature=temperature)
    (_, rows), codes = rows_of(), MADE.codes
    theirs, ours, expected = of_all_items(teacher, rows), of_all_items(student, rows), []
    for u, t in np.argwhere(rows.targets >= 0):
        if reads == "whole" and t < rows.targets.shape[1] - 1:
            continue
        item, total = rows.targets[u, t], 0.0
        for level in range(3):
            p = conditional(theirs[u, t], codes, item, level, temperature)
            q = conditional(ours[u, t], codes, item, level, temperature)
            total += (p * np.log(p / q)).sum()
        expected.append(temperature**2 * total)
    assert found.item() == pytest.approx(np.mean(expected), rel=1e-4)
    assert found > 0.01


@pytest.mark.parametrize("levels", [1, 3])
def test_over_the_next_items_that_the_teacher_draws_it_is_the_divergence_of_the_policies(levels):
    """sum over i of pi_teacher(i) loss(i) = KL(pi_teacher || pi_student), whatever came next if L = 1."""
    made = atomic(N) if levels == 1 else MADE
    teacher, student = policy_of(1, made=made), policy_of(2, made=made)
    sequences, rows = rows_of(users=1)
    pi, ours = (of_all_items(policy, rows)[0, -1] for policy in (teacher, student))
    network, distillation = PolicyEncoder(student), PolicyDistillation(teacher)
    states, losses = network(torch.from_numpy(rows.items)).detach(), []
    for item in range(N):
        rows.targets[:] = -1
        rows.targets[0, -1] = item
        with torch.no_grad():
            losses.append(distillation.loss(network, sequences, rows, states, torch.Generator()).item())
    expected = (pi * np.log(pi / ours)).sum()
    assert pi @ losses == pytest.approx(expected, rel=1e-4)
    if levels == 1:
        np.testing.assert_allclose(losses, expected, rtol=1e-4)
    else:
        assert np.std(losses) > 0.01


def test_a_student_that_is_its_teacher_has_nothing_to_learn():
    teacher = policy_of(1)
    found, distillation = loss_of(teacher, teacher, temperature=3.0)
    assert found.item() == pytest.approx(0.0, abs=1e-6)
    found.backward()
    assert max(float(one.grad.abs().max()) for one in teacher.parameters() if one.grad is not None) < 1e-5
    before = distillation.teacher.head.positions.weight.clone()
    with torch.no_grad():
        teacher.head.positions.weight.zero_()
    assert torch.equal(distillation.teacher.head.positions.weight, before)  # the copy is not touched
    assert before.any()


def test_the_teacher_is_without_dropout_and_without_gradient():
    teacher, student = policy_of(1, dropout=0.5, blocks=2), policy_of(2)
    once, distillation = loss_of(student, teacher)
    distillation.train()
    torch.manual_seed(7)
    network, (sequences, rows) = PolicyEncoder(student), rows_of()
    states = network(torch.from_numpy(rows.items))
    again = distillation.loss(network, sequences, rows, states, torch.Generator())
    assert torch.equal(once, again)
    assert not distillation.teacher.training
    again.backward()
    assert all(one.grad is None for one in distillation.teacher.parameters())
    assert not any(one.requires_grad for one in distillation.teacher.parameters())
    assert all(one.requires_grad for one in teacher.parameters())  # the one that was given stays as it was
    heard = [name for name, one in student.named_parameters() if one.grad is not None and one.grad.any()]
    assert any(name.startswith("encoder") for name in heard)
    assert any(name.startswith("head.vectors.2") for name in heard)


def test_gradients_are_those_of_finite_differences():
    teacher, student = policy_of(1).double(), policy_of(2).double()
    parameter = student.head.vectors[1].weight
    loss_of(student, teacher, temperature=2.0)[0].backward()
    direction = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)).double()
    expected = float((parameter.grad * direction).sum())
    with torch.no_grad():
        parameter += 1e-6 * direction
        up = float(loss_of(student, teacher, temperature=2.0)[0])
        parameter -= 2e-6 * direction
        down = float(loss_of(student, teacher, temperature=2.0)[0])
    assert (up - down) / 2e-6 == pytest.approx(expected, rel=1e-5)
    assert abs(expected) > 1e-4


def test_what_cannot_be_is_refused():
    student, teacher = policy_of(), policy_of()
    sequences, _ = rows_of()
    with pytest.raises(InputError, match="temperature must be above 0"):
        PolicyDistillation(teacher, temperature=0.0)
    with pytest.raises(InputError, match="policy distillation needs a GenerativeRecommender"):
        PolicyDistillation(teacher).begin(student.encoder, sequences, torch.Generator())
    for other, message in (
        (random(N, levels=3, size=5, seed=2), "one catalogue, got other codes of the same sizes"),
        (random(N, levels=2, size=9, seed=2), r"got 40 items, levels of \(9, 9\) and 40 items, levels of"),
    ):
        with pytest.raises(InputError, match=message):
            loss_of(student, policy_of(made=other))
    with pytest.raises(InputError, match="the teacher reads 5 items, and the student 6"):
        loss_of(student, policy_of(max_length=5))


# --- what it is worth

ITEMS = 60


def fit(log, blocks, dimension, epochs, seed, auxiliaries=tuple):
    made = random(ITEMS, levels=2, size=8, seed=0)

    def policy(num_items, generator):
        items = CodeVectors(made.codes, made.level_sizes, dimension)
        encoder = SASRec(items, max_length=9, blocks=blocks, dropout=0.1, generator=generator)
        head = AutoregressiveHead(made.level_sizes, dimension, generator=generator)
        return GenerativePolicy(encoder, head, CatalogueTrie(made.codes, made.level_sizes))

    return GenerativeRecommender(
        policy,
        auxiliaries=auxiliaries,
        epochs=epochs,
        patience=epochs,
        seed=seed,
        num_items=ITEMS,
        batch_size=64,
        learning_rate=5e-3,
        mask_history=False,
        device="cpu",
    ).fit(log)


def ndcg_of(fitted, held_out):
    """NDCG@10 by log pi of all items."""
    log_pi = fitted.scores(held_out.history)
    rank = (log_pi > np.take_along_axis(log_pi, held_out.target[:, None], axis=1)).sum(axis=1)
    return float(np.where(rank < 10, 1.0 / np.log2(rank + 2.0), 0.0).mean())


def apart(teacher, student, history):
    """Mean KL(pi_teacher || pi_student) over histories."""
    theirs, ours = teacher.scores(history).astype(float), student.scores(history).astype(float)
    return float((np.exp(theirs) * (theirs - ours)).sum(axis=1).mean())


@pytest.mark.slow
def test_a_small_student_with_a_teacher_and_alone():
    """ShortcutBench, lag 2: NDCG@10 of 1,000 users never seen, at equal epochs, five laws and logs, paired.

    The teacher has 2 blocks of 32 numbers and 40 epochs, the student 1 block of 16 and 12 epochs; both learn
    from the same log of 300 users. Whether a taught student ranks better is printed, not asked for.
    """
    found = {"teacher": [], "alone": [], "taught": []}
    for seed in range(5):
        law = succession_law(num_items=ITEMS, branching=3, lag=2, world_seed=seed)
        log = succession_log(law, num_users=300, seed=seed)
        held_out = leave_one_out(succession_log(law, num_users=1000, seed=50 + seed))
        teacher = fit(log, 2, 32, 40, 10 + seed)

        def taught(teacher=teacher):
            return [PolicyDistillation(teacher.policy_)]

        students = {"alone": fit(log, 1, 16, 12, seed), "taught": fit(log, 1, 16, 12, seed, taught)}
        for name, fitted in {"teacher": teacher, **students}.items():
            found[name].append(ndcg_of(fitted, held_out))
        kl = {name: apart(teacher, fitted, held_out.history[:200]) for name, fitted in students.items()}
        print(seed, {name: round(values[-1], 4) for name, values in found.items()}, kl, flush=True)
        assert kl["taught"] < kl["alone"]
    for name, values in found.items():
        less = mean_estimate(np.array(values) - found["alone"])
        low, high = less.interval
        print(f"{name:8} {np.mean(values):.4f}, less alone {less.value:+.4f} [{low:+.4f}, {high:+.4f}]")
