"""Causal language models as policies: log pi against their own logits, read one text at a time."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chisquare

pytest.importorskip("torch")
pytest.importorskip("transformers")
import torch
from language_models import CODES, EVERY, HISTORY, KINDS, SIZES, WORDS, N, model_of, policy_of
from transformers import AutoModelForCausalLM

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
from recsim_env.agents.generative.language_model.causal_lm_policy import CausalLMPolicy
from recsim_env.agents.generative.language_model.code_tokens import CodeTokens
from recsim_env.agents.generative.preference.tuning import PreferenceTuner, TuningSettings
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck

pytestmark = pytest.mark.extra

BEGINS = (WORDS, WORDS + 4, WORDS + 7)
ANSWER = WORDS + 11
HISTORIES = ([3, 7], [5, 5, 9, 11], [2], [])  # HISTORY


def text_of(items, codes=CODES):
    return [begin + int(code) for item in items for begin, code in zip(BEGINS, codes[item], strict=True)]


def slow_log_pi(policy, history, item, codes=CODES):
    """Of one text, without a cache or padding, and a loop over prefixes; with gradients."""
    prompt, found = [*policy.tokens.instruction, *text_of(history, codes), ANSWER], 0.0
    logits = policy.model(torch.tensor([prompt + text_of([item], codes)])).logits[0]
    for level, begin in enumerate(BEGINS):
        may_follow = sorted(
            {row[level] for row in codes.tolist() if row[:level] == list(codes[item, :level])}
        )
        values = logits[len(prompt) - 1 + level, [begin + code for code in may_follow]]
        found = found + values.log_softmax(0)[may_follow.index(codes[item, level])]
    return found - np.log((codes == codes[item]).all(axis=1).sum())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("codes", [CODES, CODES[np.arange(N) // 3]], ids=["own", "shared"])
def test_log_prob_is_that_of_the_models_logits(kind, codes):
    policy = policy_of(kind, codes=codes)
    found = policy.log_prob(HISTORY, EVERY).detach()
    for user, history in enumerate(HISTORIES):
        expected = [float(slow_log_pi(policy, history, item, codes).detach()) for item in range(N)]
        np.testing.assert_allclose(found[user], expected, atol=2e-5)
    np.testing.assert_allclose(found.exp().sum(dim=1), 1.0, atol=1e-5)
    assert found.std(dim=1).min() > 0.3
    assert (found[0] - found[2]).abs().max() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_beside_a_history_has_no_part_in_it(kind):
    """Neither other users, nor empty cells, nor items longer ago than the last four."""
    policy = policy_of(kind)
    together = policy.log_prob(HISTORY, EVERY)
    for user in range(4):
        alone = policy.log_prob(HISTORY[user : user + 1], EVERY[:1])[0]
        torch.testing.assert_close(alone, together[user], atol=1e-5, rtol=1e-4)
    empty = torch.full((4, 3), -1)
    torch.testing.assert_close(policy.log_prob(torch.cat([empty, HISTORY], dim=1), EVERY), together)
    longer = torch.cat([torch.tensor([[8, 1]]), HISTORY[1:2]], dim=1)
    torch.testing.assert_close(policy.log_prob(longer, EVERY[:1])[0], together[1], atol=1e-5, rtol=1e-4)
    nothing = policy.log_prob(HISTORY[:2, :0], EVERY[:2])
    torch.testing.assert_close(nothing, together[[3, 3]], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_beams_as_wide_as_the_catalogue_find_the_best_items(kind):
    policy = policy_of(kind)
    best = policy.log_prob(HISTORY, EVERY).detach().topk(10, dim=1)
    items, found = policy.generate(HISTORY, 10, width=N)
    torch.testing.assert_close(found, best.values, atol=1e-5, rtol=1e-4)
    assert torch.equal(items, best.indices)
    allow = torch.ones(4, N, dtype=torch.bool)
    allow[1, items[1, :3]] = False
    without, _ = policy.generate(HISTORY, 10, width=N, allow=allow)
    assert torch.equal(without[0], items[0])
    assert torch.equal(without[1, :7], items[1, 3:])


@pytest.mark.parametrize("kind", KINDS)
def test_sampled_frequencies_are_those_of_log_prob(kind):
    policy = policy_of(kind)
    pi = policy.log_prob(HISTORY[1:2], EVERY[:1]).detach()[0].exp().double()
    users = HISTORY[1:2].expand(200, -1)
    items, log_pi = policy.generate(users, 25, "sample", luck=Luck.from_seeds(range(200)))
    torch.testing.assert_close(log_pi, policy.log_prob(users, items).detach(), atol=1e-5, rtol=1e-4)
    seen = np.bincount(items.flatten().numpy(), minlength=N)
    often = (pi > 0.002).numpy()
    expected = np.append(pi.numpy()[often], pi.numpy()[~often].sum()) * 5000
    observed = np.append(seen[often], seen[~often].sum())
    assert chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-3


def test_draws_depend_on_the_user_alone():
    policy = policy_of()
    items, log_pi = policy.generate(HISTORY, 15, "gumbel", luck=Luck.from_seeds(range(4)))
    assert all(len(set(row)) == 15 for row in items.tolist())
    torch.testing.assert_close(log_pi, policy.log_prob(HISTORY, items).detach(), atol=1e-5, rtol=1e-4)
    for mode in ("gumbel", "sample"):
        together = policy.generate(HISTORY, 15, mode, luck=Luck.from_seeds(range(4)))[0]
        alone = policy.generate(HISTORY[2:3], 15, mode, luck=Luck.from_seeds([2]))[0]
        assert torch.equal(alone[0], together[2])


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_go_through_what_items_of_a_user_share(kind):
    policy, items = policy_of(kind), [[3, 17], [5, 0], [8, 8], [1, 2]]
    weights = torch.tensor([[1.0, -0.5], [0.3, 2.0], [0.7, 0.1], [-1.0, 1.0]])
    (policy.log_prob(HISTORY, torch.tensor(items)) * weights).sum().backward()
    found = {name: one.grad.clone() for name, one in policy.named_parameters()}
    policy.zero_grad()
    for history, row, of_row in zip(HISTORIES, items, weights, strict=True):
        for item, weight in zip(row, of_row, strict=True):
            (slow_log_pi(policy, history, item) * weight).backward()
    for name, one in policy.named_parameters():
        torch.testing.assert_close(found[name], one.grad, atol=1e-4, rtol=1e-3)
    assert all(
        one.abs().max() > 0.01 for name, one in found.items() if "k_proj" not in name and "bias" not in name
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["dpo", "grpo"])
def test_what_is_liked_becomes_likelier(kind, method):
    policy = policy_of(kind, scale=None)
    history = np.random.default_rng(0).integers(N, size=(30, 4))

    def fours(users, items):
        return (items % 4 == 0).astype(float)

    def share(policy):
        liked = torch.arange(0, N, 4).expand(30, -1)
        return float(policy.log_prob(torch.from_numpy(history), liked).detach().exp().sum(dim=1).mean())

    settings = TuningSettings(method=method, batch_size=16, num_generations=8, learning_rate=1e-2)
    tuner, before = PreferenceTuner(policy, history, fours, settings), share(policy)
    first = tuner.step()
    assert first["kl"] == pytest.approx(0.0, abs=1e-6)
    for _ in range(29):
        tuner.step()
    assert before < 0.4
    assert share(tuner.reference) == pytest.approx(before, abs=1e-6)
    assert share(policy) > 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_new_tokens_stand_behind_the_old_ones(kind):
    model, old = model_of(kind), model_of(kind)
    state = torch.random.get_rng_state()
    tokens = CodeTokens.appended(model, SIZES, generator=torch.Generator().manual_seed(3))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert tokens.codes == tuple(range(WORDS, WORDS + 11))
    assert (tokens.answer, tokens.end, model.config.vocab_size) == (ANSWER, ANSWER + 1, ANSWER + 2)
    of_input, of_output = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert (of_input is of_output) == (kind == "gpt2")
    for new, before in ((of_input, old.get_input_embeddings()), (of_output, old.get_output_embeddings())):
        assert torch.equal(new[:WORDS], before.weight)
        rest = new[WORDS:].detach()
        assert 0.5 < rest.std() / before.weight.std() < 2.0
        assert len(set(rest[:, 0].tolist())) == 13
    again = model_of(kind)
    CodeTokens.appended(again, SIZES, generator=torch.Generator().manual_seed(3))
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in again.state_dict().items())


def test_tokens_may_be_any_that_a_model_has():
    """Of one model, two tables of ids: what is said moves with the vectors."""
    policy, order = policy_of(instruction=()), torch.randperm(33, generator=torch.Generator().manual_seed(1))
    there = order.argsort().tolist()
    with torch.no_grad():
        moved = policy_of(instruction=())
        for table in (moved.model.get_input_embeddings(), moved.model.get_output_embeddings()):
            table.weight.copy_(table.weight[order])
    tokens = CodeTokens(
        SIZES, tuple(there[one] for one in policy.tokens.codes), there[ANSWER], there[ANSWER + 1], ()
    )
    other = CausalLMPolicy(moved.model, policy.trie, tokens, max_items=4)
    torch.testing.assert_close(other.log_prob(HISTORY, EVERY), policy.log_prob(HISTORY, EVERY))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_found_does_not_depend_on_dropout(kind):
    policy = policy_of(kind, dropout=0.5).train()
    first, again = (policy.generate(HISTORY, 5)[1] for _ in range(2))
    assert torch.equal(first, again)
    assert policy.training
    assert policy.model.training


def test_the_catalogue_goes_where_the_weights_go():
    policy = policy_of().to("meta")
    assert policy.trie.items.is_meta


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_kept_and_read_as_the_library_does(kind, tmp_path):
    policy = policy_of(kind)
    policy.model.save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, local_files_only=True)
    again = CausalLMPolicy(model, policy.trie, policy.tokens, max_items=4).eval()
    torch.testing.assert_close(again.log_prob(HISTORY, EVERY), policy.log_prob(HISTORY, EVERY))


def test_codes_of_one_level():
    codes = np.arange(4)[:, None]
    tokens = CodeTokens((4,), (5, 6, 7, 8), 9, 10)
    policy = CausalLMPolicy(model_of("llama"), CatalogueTrie(codes, (4,)), tokens, max_items=3).eval()
    log_pi = policy.log_prob(HISTORY[2:3], torch.arange(4)[None])
    with torch.no_grad():
        logits = policy.model(torch.tensor([[7, 9]])).logits[0, -1, 5:9]
    torch.testing.assert_close(log_pi[0].detach(), logits.log_softmax(0))


def test_bad_tokens():
    good = CodeTokens(SIZES, tuple(range(11)), 11, 12)
    for changed, message in (
        (
            {"codes": tuple(range(10))},
            r"codes must be 11 ids, one for each code of levels of \(4, 3, 4\), got 10",
        ),
        ({"codes": (*range(10), 3)}, "token 3 has two meanings"),
        ({"answer": 12}, "token 12 has two meanings"),
        ({"instruction": (14, 11)}, "token 11 of the instruction stands for a code"),
        ({"end": -1}, "ids of tokens must be 0 or more, got -1"),
    ):
        with pytest.raises(InputError, match=message):
            replace(good, **changed)


def test_parts_that_do_not_go_together():
    tokens, trie = CodeTokens(SIZES, tuple(range(11)), 11, 12), CatalogueTrie(CODES, SIZES)
    model = model_of("llama")
    with pytest.raises(
        InputError, match=r"tokens are of levels of \(4, 3, 4\) codes, and the catalogue of \(4, 4"
    ):
        CausalLMPolicy(model, CatalogueTrie(CODES, (4, 4, 4)), tokens, max_items=3)
    with pytest.raises(InputError, match=r"token 20 is not in the model's vocabulary of 20 \(0-19\)"):
        CausalLMPolicy(model, trie, replace(tokens, instruction=(20,)), max_items=3)
    with pytest.raises(
        InputError, match=r"21 items, .* are 67 tokens, but the model reads 64: lower max_items"
    ):
        CausalLMPolicy(model, trie, tokens, max_items=21)
    CausalLMPolicy(model, trie, tokens, max_items=20)
    with pytest.raises(InputError, match="max_items must be at least 1"):
        CausalLMPolicy(model, trie, tokens, max_items=0)


def test_bad_questions():
    policy = policy_of()
    with pytest.raises(InputError, match=r"item 24 of a history is none: there are 24 \(0-23\)"):
        policy.log_prob(torch.tensor([[1, 24]]), torch.tensor([[0]]))
    with pytest.raises(InputError, match="empty cells stand on the left"):
        policy.generate(torch.tensor([[1, -1]]), 3)
    with pytest.raises(InputError, match="item 24 is not in the catalogue"):
        policy.log_prob(HISTORY, EVERY + 1)
    with pytest.raises(InputError, match=r"history must be \(users, items\)"):
        policy.generate(HISTORY[0], 3)
    with pytest.raises(InputError, match="there is no mode 'best'"):
        policy.generate(HISTORY, 3, "best")
    with pytest.raises(InputError, match="sample needs the luck of 4 users, got none"):
        policy.generate(HISTORY, 3, "sample")


def test_a_model_that_keeps_nothing_is_refused():
    policy = policy_of()
    policy.model.activation_checkpointing_enable()
    policy.log_prob(HISTORY, EVERY)
    with pytest.raises(InputError, match=r"keeps no keys and values: call policy\.eval"):
        policy.train().log_prob(HISTORY, EVERY)
