"""A constrained language model under TRL's trainers: they train log pi, and nothing but log pi."""

import socket
from copy import deepcopy

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("trl")
import torch
from datasets import Dataset
from language_models import CODES, EVERY, HISTORY, KINDS, WORDS, N, model_of, policy_of
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer
from trl.trainer.utils import add_fused_lm_head

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
from recsim_env.agents.generative.language_model.trie_constraint import (
    constrained,
    constrained_logits,
    fused_output,
)
from recsim_env.agents.generative.language_model.trl_rows import (
    items_of,
    preference_rows,
    prompt_rows,
    sft_rows,
    tokenizer,
)
from recsim_env.agents.generative.preference.dpo import dpo_loss
from recsim_env.errors import InputError

pytestmark = [
    pytest.mark.extra,
    pytest.mark.filterwarnings("ignore:.*deprecated and will be removed in v6:FutureWarning:transformers"),
]

LOWEST = torch.finfo(torch.float32).min
ANSWER, END = WORDS + 11, WORDS + 12
CHOSEN, REJECTED = np.array([3, 17, 8, 1]), np.array([5, 0, 9, 2])


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A folder of the test's own, where nothing can be reached; afterwards nothing is there."""

    def refuse(*_):
        raise OSError("a test asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("CI", "1")  # TRL counts its users otherwise
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def settings(kind, folder, *, bf16=False, **more):
    return kind(
        output_dir=str(folder),
        use_cpu=True,
        bf16=bf16,
        report_to="none",
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        per_device_train_batch_size=4,
        **more,
    )


def constrain(policy):
    return constrained(policy.model, policy.trie, policy.tokens)


def texts(policy, items, side):
    """(B, T) and flags: histories and items (B,), padded on one side."""
    left, there = policy.prompts(HISTORY)
    codes = policy.of_codes(policy.trie.codes[items])
    text = torch.cat([left, codes, torch.full((4, 1), END)], dim=1)
    there = torch.cat([there, torch.ones(4, 4, dtype=torch.bool)], dim=1)
    if side == "left":
        return text, there.long()
    order = (~there).int().argsort(dim=1, stable=True)
    return text.gather(1, order), there.gather(1, order).long()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_constrained_model_says_log_pi(kind, side):
    policy, log_pi = policy_of(kind), torch.zeros(4, N)
    for item in range(N):
        text, mask = texts(policy, torch.full((4,), item), side)
        with constrain(policy), torch.no_grad():
            logits = policy.model(input_ids=text, attention_mask=mask).logits
            last = policy.model(input_ids=text, attention_mask=mask, logits_to_keep=2).logits
        torch.testing.assert_close(last, logits[:, -2:])
        said = logits.log_softmax(-1)[:, :-1].gather(-1, text[:, 1:, None]).squeeze(-1)
        behind = (text == ANSWER).cumsum(dim=1)[:, :-1] * mask[:, 1:]
        log_pi[:, item] = (said * behind).sum(dim=1)
    torch.testing.assert_close(log_pi, policy.log_prob(HISTORY, EVERY).detach(), atol=2e-5, rtol=1e-4)


def test_nothing_changes_before_an_answer_and_after_the_block():
    policy = policy_of()
    text, mask = texts(policy, torch.tensor([1, 2, 3, 4]), "left")
    plain = policy.model(input_ids=text, attention_mask=mask).logits
    with constrain(policy):
        found = policy.model(input_ids=text, attention_mask=mask).logits
    assert torch.equal(found[1, :-5], plain[1, :-5])
    assert (found[1, -5:-1] == LOWEST).any(dim=1).all()
    assert torch.equal(policy.model(input_ids=text, attention_mask=mask).logits, plain)


def test_which_tokens_may_follow_against_a_loop():
    """Two texts in one row, as they are packed; one is not done."""
    policy, logits = policy_of(), torch.randn(1, 11, 33, generator=torch.Generator().manual_seed(0))
    begin = np.array([WORDS, WORDS + 4, WORDS + 7])
    full, begun = (begin + CODES[5]).tolist(), (begin + CODES[11])[:2].tolist()
    text = torch.tensor([[9, ANSWER, *full, END, 4, 7, ANSWER, *begun]])
    found, codes = constrained_logits(policy.trie, policy.tokens, text, logits)[0], CODES.tolist()
    may_follow = [set(range(33))] * 11
    for at, item in ((1, 5), (8, 11)):
        for level in range(3):
            after = {row[level] for row in codes if row[:level] == codes[item][:level]}
            may_follow[at + level] = {int(begin[level]) + code for code in after}
    may_follow[4] = {END}
    for place in range(11):
        left = set(np.flatnonzero(found[place] > LOWEST).tolist())
        assert left == may_follow[place]
        kept = sorted(left)
        assert torch.equal(found[place, kept], logits[0, place, kept])


@pytest.mark.parametrize("kind", KINDS)
def test_dpo_of_trl_is_ours(kind, alone):
    """The loss and its gradient, from a reference that differs."""
    policy, reference = policy_of(kind), policy_of(kind, seed=1)
    rows = Dataset.from_list(preference_rows(policy, HISTORY, CHOSEN, REJECTED))
    s = [
        policy.log_prob(HISTORY, torch.tensor(items)[:, None])
        - reference.log_prob(HISTORY, torch.tensor(items)[:, None]).detach()
        for items in (CHOSEN, REJECTED)
    ]
    ours = dpo_loss(s[0][:, 0], s[1], beta=0.3)
    ours.backward()
    expected = {name: one.grad.clone() for name, one in policy.named_parameters()}
    policy.zero_grad()

    def of_trl():
        made = settings(DPOConfig, alone, beta=0.3)
        trainer = DPOTrainer(
            policy.model, reference.model, made, train_dataset=rows, processing_class=tokenizer(policy.tokens)
        )
        return trainer.compute_loss(policy.model, next(iter(trainer.get_train_dataloader())))

    with constrain(policy), constrain(reference):
        theirs = of_trl()
        theirs.backward()
    assert float(theirs.detach()) == pytest.approx(float(ours.detach()), abs=1e-4)
    for name, one in policy.named_parameters():
        torch.testing.assert_close(one.grad, expected[name], atol=1e-4, rtol=1e-3)
    assert abs(float(of_trl().detach()) - float(ours.detach())) > 0.01  # without the constraint it is another


@pytest.mark.parametrize("kind", KINDS)
def test_sft_of_trl_makes_what_was_taken_likelier(kind, alone):
    policy, items = policy_of(kind), torch.tensor(CHOSEN)[:, None]
    before = policy.log_prob(HISTORY, items).detach()
    made = settings(SFTConfig, alone, max_steps=20, learning_rate=1e-2)
    rows = Dataset.from_list(sft_rows(policy, HISTORY, CHOSEN))
    with constrain(policy):
        trainer = SFTTrainer(
            policy.model, made, train_dataset=rows, processing_class=tokenizer(policy.tokens)
        )
        trainer.train()
    first = trainer.state.log_history[0]["loss"]
    assert first == pytest.approx(float(-before.mean()) / 4, abs=1e-5)  # of a token; `end` has probability 1
    after = policy.eval().log_prob(HISTORY, items).detach()
    assert (after > before + 0.5).all()
    assert "forward" not in vars(policy.model)
    copy = deepcopy(policy)
    with torch.no_grad():
        policy.model.get_input_embeddings().weight.zero_()
    torch.testing.assert_close(copy.log_prob(HISTORY, items).detach(), after)


@pytest.mark.parametrize("kind", KINDS)
def test_grpo_of_trl_draws_from_pi_and_learns(kind, alone):
    policy, drawn = policy_of(kind, scale=None), []

    def fours(completions, **_):
        drawn.append(items_of(policy, completions))
        return (drawn[-1] % 4 == 0).astype(float).tolist()

    made = settings(
        GRPOConfig,
        alone,
        max_steps=25,
        learning_rate=2e-2,
        num_generations=4,
        max_completion_length=4,
        generation_kwargs={"use_cache": False},
    )
    rows = Dataset.from_list(prompt_rows(policy, HISTORY))
    with constrain(policy):
        GRPOTrainer(
            policy.model, fours, made, train_dataset=rows, processing_class=tokenizer(policy.tokens)
        ).train()
    assert min(items.min() for items in drawn) >= 0
    liked = torch.arange(0, N, 4).expand(4, -1)
    assert policy.eval().log_prob(HISTORY, liked).detach().exp().sum(dim=1).min() > 0.6


def test_answers_have_the_form_of_trls_own():
    """Where nothing is constrained, every number is the one that TRL computes."""
    model, text = (
        model_of("llama"),
        torch.randint(0, WORDS, (3, 7), generator=torch.Generator().manual_seed(0)),
    )
    labels = text.masked_fill(torch.rand(3, 7, generator=torch.Generator().manual_seed(1)) < 0.4, -100)
    plain = model(input_ids=text)
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1"))
    for shifted, count in ((False, None), (True, 5)):
        kwargs = {"shift_labels" if shifted else "labels": labels, "num_items_in_batch": count}
        theirs = model(input_ids=text, fused_lm_head=True, **kwargs)
        ours = fused_output(plain, kwargs.get("labels"), kwargs.get("shift_labels"), count)
        assert list(ours) == list(theirs)
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, atol=1e-5, rtol=1e-4)


def test_words_are_the_tokens_of_the_model():
    policy = policy_of()
    reader, rows = tokenizer(policy.tokens), preference_rows(policy, HISTORY, CHOSEN, REJECTED)
    text, there = policy.prompts(HISTORY)
    for row, tokens, seen, chosen in zip(rows, text, there, CHOSEN, strict=True):
        assert reader(row["prompt"])["input_ids"] == tokens[seen].tolist()
        expected = [*policy.of_codes(policy.trie.codes[chosen]).tolist(), END]
        assert reader(row["chosen"] + reader.eos_token)["input_ids"] == expected
        assert reader.decode(expected, skip_special_tokens=True) == row["chosen"]
    assert rows[2]["prompt"].startswith("<#3><#4><")
    assert items_of(policy, [row["rejected"] for row in rows]).tolist() == REJECTED.tolist()
    assert items_of(policy, ["<0_1>", "", rows[0]["chosen"] + "<end>"]).tolist() == [-1, -1, 3]
    with pytest.raises(Exception, match=r"\[UNK\]"):
        reader("<#5>")


def test_rows_that_cannot_be():
    policy = policy_of()
    with pytest.raises(
        InputError, match=r"completion must be items of \(4,\), one for each history, got \(3,\)"
    ):
        sft_rows(policy, HISTORY, CHOSEN[:3])
    with pytest.raises(InputError, match=r"rejected\[1\] = 24: items are 0 to 23"):
        preference_rows(policy, HISTORY, CHOSEN, np.array([0, 24, 1, 2]))
    shared = policy_of(codes=CODES[np.arange(N) // 3])
    with pytest.raises(InputError, match="items share identifiers"):
        items_of(shared, ["<0_1>"])


def test_what_a_constraint_refuses():
    policy = policy_of()
    text, mask = texts(policy, torch.tensor([1, 2, 3, 4]), "right")
    with pytest.raises(InputError, match="tokens are of levels"):
        constrained(policy.model, CatalogueTrie(CODES, (4, 4, 4)), policy.tokens).__enter__()
    wrong = text.clone()
    wrong[1, -3] = WORDS
    with constrain(policy):
        with pytest.raises(InputError, match=r"token 20 at place 16 of row 1 may not follow"):
            policy.model(input_ids=wrong, attention_mask=mask)
        with pytest.raises(InputError, match="generate with use_cache=False"):
            policy.model.generate(text[:1, :9], max_new_tokens=4, do_sample=False)


@pytest.mark.parametrize("bf16", [False, True])
def test_a_temperature_of_a_trainer_is_refused(alone, bf16):
    """Also where mixed precision wraps what the trainer gave the model."""
    policy = policy_of()
    made = settings(
        GRPOConfig,
        alone,
        bf16=bf16,
        max_steps=1,
        num_generations=4,
        max_completion_length=4,
        temperature=0.5,
        generation_kwargs={"use_cache": False},
    )
    rows, reader = Dataset.from_list(prompt_rows(policy, HISTORY)), tokenizer(policy.tokens)
    with constrain(policy):
        trainer = GRPOTrainer(
            policy.model,
            lambda completions, **_: [float(len(set(one))) for one in completions],
            made,
            train_dataset=rows,
            processing_class=reader,
        )
        with pytest.raises(InputError, match=r"temperature must be 1 under a constraint, got 0\.5"):
            trainer.train()
