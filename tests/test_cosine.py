"""Cosine scoring: angles number by number, and what it keeps of the encoder it wraps."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from encoder_checks import (  # noqa: E402
    check_causal,
    check_company_and_padding,
    check_empty_rows,
    check_learns_circle,
    made,
    some_histories,
)

from recsim_env.agents.sequential.neural.encoders.cosine import Cosine  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402

pytestmark = pytest.mark.extra


def wrapped():
    return Cosine(made(SASRec), temperature=0.2).eval()


def test_scores_are_cosines():
    net = wrapped()
    items, _ = some_histories()
    found = (net(items)[:, -1] @ net.candidates().T).detach().numpy()
    states = net.encoder(items)[:, -1].detach().numpy().astype(np.float64)
    vectors = net.items.all().detach().numpy().astype(np.float64)
    for row, state in enumerate(states):
        for item, vector in enumerate(vectors):
            cosine = state @ vector / np.linalg.norm(state) / np.linalg.norm(vector)
            assert found[row, item] == pytest.approx(cosine / 0.2, abs=1e-4)
    some = torch.tensor([[3, 0], [1, 1]])
    torch.testing.assert_close(net.candidates(some), net.candidates()[some])


def test_longer_vectors_win_nothing():
    net = wrapped()
    items, _ = some_histories()
    before = net(items[:, :0].new_full((2, 3), net.num_items))  # nobody has an item: no vector is read
    scores = before[:, -1] @ net.candidates().T
    with torch.no_grad():
        net.items.learned.weight[4] *= 9
    torch.testing.assert_close(before[:, -1] @ net.candidates().T, scores)


def test_it_keeps_what_the_encoder_promises():
    net = wrapped()
    check_causal(net)
    check_company_and_padding(net)
    check_empty_rows(net)
    check_learns_circle(
        lambda items, generator: Cosine(SASRec(items, blocks=1, dropout=0.1, generator=generator))
    )


def test_a_temperature_out_of_range_is_refused():
    with pytest.raises(InputError, match="temperature must be above 0 and finite, got 0"):
        Cosine(made(SASRec), temperature=0.0)
