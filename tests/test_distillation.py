"""SLMRec: a student learns a teacher's states, by hand, and on ShortcutBench."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from recsim_env.agents.recommender import target_ranks  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec  # noqa: E402
from recsim_env.agents.sequential.neural.losses.distillation import Distillation  # noqa: E402
from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender  # noqa: E402
from recsim_env.agents.sequential.neural.sequences import Sequences  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402
from recsim_env.simulators.log import Log  # noqa: E402
from recsim_env.simulators.shortcut_bench import succession_law, succession_log  # noqa: E402
from recsim_env.simulators.splits import leave_one_out  # noqa: E402

pytestmark = pytest.mark.extra

N, D = 12, 8


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def network(items=N, dimension=D, blocks=2, seed=5, dropout=0.0):
    generator = torch.Generator().manual_seed(seed)
    made = SASRec(
        ItemVectors(items, dimension), max_length=6, blocks=blocks, dropout=dropout, generator=generator
    )
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return made


def sequences():
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(8), rng.integers(2, 6, 8))
    log = Log.from_interactions(user, rng.integers(0, N, len(user)), np.arange(len(user), dtype=float))
    return Sequences.of_log(log, N, 6)


def test_the_loss_by_hand():
    """Four blocks to two, in two groups: blocks 2 and 4 of the teacher meet blocks 1 and 2 of the student."""
    teacher, student, data = network(blocks=4, seed=1, dropout=0.5), network(), sequences()
    auxiliary = Distillation(teacher, cosine=0.7, distance=0.3, supervision=0.2)
    auxiliary.begin(student, data, torch.Generator())
    auxiliary.train()  # as in training; the teacher still drops nothing
    teacher.eval()
    rows = data.next_items(np.arange(5))
    items, known = torch.from_numpy(rows.items), rows.targets >= 0
    own = [part.detach().numpy().astype(float) for part in student.hidden(items)]
    theirs = [part.detach().numpy().astype(float) for part in teacher.hidden(items)]
    expected = 0.0
    for s, t in ((1, 2), (2, 4)):
        for mine, other in zip(own[s][known], theirs[t][known], strict=True):
            cosine = mine @ other / np.sqrt((mine @ mine) * (other @ other))
            step = 0.7 * (1 - cosine) + 0.3 * np.sqrt(((mine - other) ** 2).sum())
            expected += step / known.sum()
    table = student.candidates().detach().numpy().astype(float)
    for mine, target in zip(own[1][known], rows.targets[known], strict=True):  # the line is the identity yet
        scores = table @ mine
        expected += 0.2 * (np.log(np.exp(scores).sum()) - scores[target]) / known.sum()
    found = auxiliary.loss(student, data, rows, student(items), torch.Generator())
    assert found.item() == pytest.approx(expected, rel=1e-5)
    found.backward()
    unmoved = {"norm.weight", "norm.bias"}  # only the final state goes through them
    for name, parameter in student.named_parameters():
        assert name in unmoved or parameter.grad.abs().sum() > 0, name
    assert all(line.weight.grad.abs().sum() > 0 for line in auxiliary.lines)
    assert all(parameter.grad is None for parameter in auxiliary.teacher.parameters())


def test_a_student_that_is_its_teacher_has_nothing_to_learn():
    teacher, data = network(), sequences()
    auxiliary = Distillation(teacher)
    auxiliary.begin(teacher, data, torch.Generator())
    rows = data.next_items(np.arange(5))
    states = teacher(torch.from_numpy(rows.items))
    assert auxiliary.loss(teacher, data, rows, states, torch.Generator()).item() == pytest.approx(0, abs=1e-5)
    teacher.items.learned.weight.data.zero_()  # the copy is not touched
    assert auxiliary.teacher.items.learned.weight.abs().sum() > 0


@pytest.mark.parametrize(
    ("teacher", "more", "message"),
    [
        ({}, {"groups": 0}, "groups must be at least 1, got 0"),
        ({}, {"distance": -1.0}, r"distance must be 0 or more, got -1.0"),
        ({}, {"cosine": 0.0, "distance": 0.0}, r"cosine and distance must not both be 0"),
        ({"blocks": 3}, {}, r"blocks of the teacher must be a multiple of groups \(2\), got 3"),
        ({"items": 13}, {}, "teacher and student must have the same items, got 13 and 12"),
        ({"dimension": 16}, {}, "teacher and student must have the same numbers a state, got 16 and 8"),
    ],
)
def test_what_cannot_be_is_refused(teacher, more, message):
    with pytest.raises(InputError, match=message):
        Distillation(network(**teacher), **more).begin(network(), sequences(), torch.Generator())


def test_encoders_without_blocks_are_refused():
    bare = SequenceEncoder(ItemVectors(N, D), 6)
    with pytest.raises(
        InputError, match="teacher must show its blocks by `hidden`, SequenceEncoder does not"
    ):
        Distillation(bare)
    with pytest.raises(
        InputError, match="student must show its blocks by `hidden`, SequenceEncoder does not"
    ):
        Distillation(network()).begin(bare, sequences(), torch.Generator())
    with pytest.raises(InputError, match=r"blocks of the student must be a multiple of groups \(2\), got 3"):
        Distillation(network()).begin(network(blocks=3), sequences(), torch.Generator())


# --- what it is worth


def encoder_of(blocks, dropout):
    def make(num_items, generator):
        items = ItemVectors(num_items, 16)
        return SASRec(items, max_length=9, blocks=blocks, dropout=dropout, generator=generator)

    return make


def fit(log, blocks, dropout, epochs, seed, auxiliaries=tuple):
    return NeuralRecommender(
        encoder_of(blocks, dropout),
        auxiliaries=auxiliaries,
        epochs=epochs,
        patience=epochs,
        seed=seed,
        num_items=60,
        batch_size=64,
        learning_rate=5e-3,
        mask_history=False,
        device="cpu",
    ).fit(log)


def ndcg(fitted, held_out):
    ranks = target_ranks(fitted, held_out.history, held_out.target, mask_history=False)
    return ranks.ndcg(10).mean()


@pytest.mark.slow
def test_a_student_learns_faster_from_a_teacher_that_knows():
    """ShortcutBench, lag 2: NDCG@10 of 2,000 users never seen, student of 1 block, at equal epochs.

    The teacher has 4 blocks and learned for longer, from the same log.
    """
    found = {"teacher": [], "alone": [], "taught": []}
    for seed in range(3):
        law = succession_law(num_items=60, branching=3, lag=2, world_seed=seed)
        log = succession_log(law, num_users=300, seed=seed)
        held_out = leave_one_out(succession_log(law, num_users=2000, seed=50 + seed))
        teacher = fit(log, 4, 0.2, 80, 10 + seed)

        def taught(teacher=teacher):
            return [Distillation(teacher.best_, groups=1)]

        for name, fitted in (
            ("teacher", teacher),
            ("alone", fit(log, 1, 0.1, 25, seed)),
            ("taught", fit(log, 1, 0.1, 25, seed, taught)),
        ):
            found[name].append(ndcg(fitted, held_out))
    print({name: (np.mean(values).round(4), np.round(values, 4).tolist()) for name, values in found.items()})
    assert (np.array(found["taught"]) >= found["alone"]).all()


@pytest.mark.slow
def test_blocks_beyond_the_first_few_bring_nothing():
    """ShortcutBench, lag 2: NDCG@10 of 2,000 users never seen, by blocks: deep teachers can be made small."""
    found = {blocks: [] for blocks in (1, 2, 3, 4, 6, 8)}
    for seed in range(3):
        law = succession_law(num_items=60, branching=3, lag=2, world_seed=seed)
        log = succession_log(law, num_users=600, seed=seed)
        held_out = leave_one_out(succession_log(law, num_users=2000, seed=50 + seed))
        for blocks, values in found.items():
            values.append(ndcg(fit(log, blocks, 0.1, 60, seed), held_out))
    mean = {blocks: np.mean(values) for blocks, values in found.items()}
    print({blocks: round(float(value), 4) for blocks, value in mean.items()})
    assert mean[8] <= 1.02 * max(mean[2], mean[3])
