import pytest
import torch
from plugins.reward_weights_runs import Line, trial
from shared_data import shared

from automl.study import Study
from automl.zoo import TinyGPT
from automl_reward_weights.decoding import (
    CachedGPT,
    Drawing,
    Drawn,
    Uncached,
    decoder,
    draw,
    log_probs,
)
from automl_reward_weights.equations import Equations
from automl_reward_weights.text import Bytes, TextPolicy, without_dropout
from automl_reward_weights.verify import VERIFIED, accuracy, brevity, form, named, paid

PROMPTS = [list(b"12+3="), list(b"7*8="), list(b"100-1=")]
quiet = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*num_workers", "ignore:.*isinstance.treespec"
)


@pytest.fixture
def network():
    torch.manual_seed(0)
    made = TinyGPT(width=16, layers=2, heads=2, context=24)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made.eval()


def test_the_cache_gives_the_logits_of_the_whole_sequence(network):
    tokens = torch.randint(256, (3, 24), generator=torch.Generator().manual_seed(1))
    read = CachedGPT(network)
    with torch.no_grad():
        got = torch.stack([read(column) for column in tokens.unbind(1)], 1)
        torch.testing.assert_close(got, network(tokens), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_cached_and_uncached_reading_draw_the_same(network, temperature):
    rows = []
    for read in (decoder(network), Uncached(network)):
        how = Drawing(24, 10, temperature, torch.Generator().manual_seed(3))
        rows.append(draw(read, PROMPTS, how, "cpu").tokens)
    assert rows[0].tolist() == rows[1].tolist()


def test_a_sequence_keeps_its_prompt_and_stops_at_its_end(network):
    how = Drawing(24, 10, 1.0, torch.Generator().manual_seed(0))
    drawn = draw(decoder(network), PROMPTS * 20, how, "cpu")
    for prompt, tokens, mark in zip(PROMPTS * 20, drawn.tokens, drawn.drawn, strict=True):
        assert tokens[: len(prompt)].tolist() == prompt
        completion = tokens[mark].tolist()
        assert mark[len(prompt) : len(prompt) + len(completion)].all()
        assert 10 not in completion[:-1]
        assert completion[-1] == 10 or len(prompt) + len(completion) == 24


def test_tokens_are_drawn_as_often_as_the_network_finds_them_likely(network):
    how = Drawing(5, 10, 1.0, torch.Generator().manual_seed(0))
    drawn = draw(decoder(network), [list(b"1+1=")] * 20_000, how, "cpu")
    with torch.no_grad():
        likely = network(torch.tensor([list(b"1+1=")]))[0, -1].softmax(-1)
    often = torch.bincount(drawn.tokens[:, 4], minlength=256) / 20_000
    assert (often - likely).abs().max() < 5 * (0.25 / 20_000) ** 0.5


def test_only_what_was_drawn_has_a_log_probability():
    tokens = torch.tensor([[1, 2, 0, 0]])
    drawn = Drawn(tokens, torch.tensor([[False, False, True, False]]))
    logits = torch.zeros(1, 3, 4)
    expected = torch.tensor([[0.0, -torch.log(torch.tensor(4.0)), 0.0]])
    torch.testing.assert_close(log_probs(logits, drawn), expected)


def test_prompts_that_leave_no_room_are_refused(network):
    with pytest.raises(ValueError, match="1 to 4 tokens each"):
        draw(decoder(network), PROMPTS, Drawing(5, 10), "cpu")


@pytest.mark.parametrize(
    ("completion", "right", "formed"),
    [
        ("24", 1, 0),
        ("She sold 24 clips.", 1, 0),
        ("In May she sold 24. ####24", 1, 1),
        ("In May she sold 99. ####24", 1, 1),
        ("In May she sold 24. ####23", 0, 1),
        ("####24", 1, 0),
        ("", 0, 0),
        ("no idea", 0, 0),
    ],
)
def test_completions_are_verified(completion, right, formed):
    assert accuracy(["48/2="], [completion], ["24"]) == [right]
    assert form(["48/2="], [completion], ["24"]) == [formed]


def test_brevity_falls_in_proportion_to_the_length():
    assert brevity([""] * 3, ["", "x" * 11, "x" * 99], [""] * 3) == [1, 0.75, 0]


def test_a_reward_function_is_named_by_its_path():
    assert paid(named(VERIFIED), ["1+1="], ["2"], ["2"]).shape == (1, 3)
    with pytest.raises(ValueError, match=r"reward 'a': 'automl_reward_weights.verify.acuracy' is"):
        named({"a": "automl_reward_weights.verify.acuracy"})


def test_no_prompt_is_in_two_parts():
    data = Equations(evaluate=50, held=100)
    data.setup()
    trained, evaluated, held = (
        {e.prompt for e in part} for part in (data.trained, data.evaluated, data.put_aside)
    )
    assert (len(evaluated), len(held)) == (50, 100)
    assert not trained & evaluated
    assert not held & (trained | evaluated)


def test_every_made_equation_holds():
    data = Equations()
    data.setup()
    for one in data.trained[:500]:
        assert eval(one.prompt[:-1]) == int(one.answer)
        assert one.answer in one.sentence


def test_the_equations_of_gsm8k_hold():
    data = Equations(
        train=str(shared("text/gsm8k_train.jsonl")), test=str(shared("text/gsm8k_test.jsonl"))
    )
    data.setup()
    assert len(data.put_aside) == 512
    wrong = [one for one in data.trained if eval(one.prompt[:-1]) != int(one.answer)]
    assert len(wrong) < 0.01 * len(data.trained)  # a few steps of the file itself are rounded


def test_a_demonstration_ends_and_what_follows_is_not_learnt():
    data = Equations(demonstrations=True, batch_size=4)
    data.setup()
    tokens, targets = next(iter(data.train_dataloader()))
    for row, after in zip(tokens, targets, strict=True):
        text = bytes(after[after != -100].tolist())
        assert text.endswith(b"\n")
        assert bytes(row[: len(text)].tolist())[1:] == text[:-1]


def test_the_loss_of_a_policy_pushes_up_what_is_better_than_its_group(network):
    policy = TextPolicy(network=network, length=24, group=4)
    policy.trainer = None
    chance = torch.Generator().manual_seed(0)
    drawn = draw(decoder(network), [PROMPTS[0]] * 4, Drawing(24, 10, 1.0, chance), "cpu")
    each = log_probs(policy(drawn.tokens[:, :-1]), drawn)
    assert policy.divergence(each, drawn).item() == 0
    policy.kl = 0.1
    policy.setup("fit")
    assert policy.divergence(each, drawn).item() == pytest.approx(0, abs=1e-6)
    assert not any(name.startswith("reference") for name in policy.state_dict())


def test_a_network_without_dropout_gives_equal_answers_while_it_trains():
    made = without_dropout(torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(4, 4)))
    assert made.training
    assert torch.equal(made(torch.ones(8, 4)), made(torch.ones(8, 4)))


def test_bytes_survive_the_tokenizer():
    assert Bytes().decode(Bytes().encode("48/2= €")) == "48/2= €"


def study(**options):
    return Study(
        name="words",
        model={
            "class_path": "automl_reward_weights.TextPolicy",
            "init_args": {
                "network": {
                    "class_path": "automl.zoo.TinyGPT",
                    "init_args": {"width": 16, "layers": 1, "heads": 2, "context": 32},
                },
                "length": 32,
                "group": 4,
            },
        },
        data={
            "class_path": "automl_reward_weights.Equations",
            "init_args": {"batch_size": 4, "evaluate": 16, "held": 16, "context": 32},
        },
        trainer={"max_epochs": 1, "limit_train_batches": 6},
        plugins={"reward_weights": {"evaluate_every": 3, "pretrain": PRETRAIN, **options}},
        objectives={f"val_{name}": {"goal": "maximize"} for name in VERIFIED},
        budget={"trials": 1},
    )


PRETRAIN = {"max_epochs": 1, "limit_train_batches": 20, "limit_val_batches": 1}


@pytest.mark.slow
@quiet
@pytest.mark.parametrize("weighter", ["hv_gradient", "gradient"])
def test_a_language_model_starts_from_demonstrations_and_trains(tmp_path, weighter):
    made = study(weighter=weighter)
    assert trial(made, tmp_path, kind="prepare").state == "done"
    start = torch.load(tmp_path / "shared/reward_weights/start.pt", weights_only=True)
    outcome = trial(made, tmp_path)
    assert outcome.state == "done", outcome.failure
    after = torch.load(tmp_path / "model.ckpt", weights_only=True)["state_dict"]
    moved = (after["network.embedding.weight"] - start["embedding.weight"]).abs().max()
    assert 0 < moved < 0.1
    assert set(outcome.metrics) >= {"val_accuracy", "val_brevity", "val_form", "step"}


@pytest.mark.slow
@quiet
def test_a_language_run_that_was_cut_ends_as_the_uncut_one(tmp_path):
    made = study()
    made = made.model_copy(update={"trainer": {"max_epochs": 4, "limit_train_batches": 3}})
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    expected = trial(made, whole)
    assert trial(made, cut, Line(most=2)).state == "stopped"
    got = trial(made, cut, attempt=1)
    assert got.metrics["archive_hypervolume"] == expected.metrics["archive_hypervolume"]


@quiet
def test_a_causal_language_model_of_transformers_draws_what_it_would_uncached():
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    config = transformers.GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=256, n_positions=32)
    network = transformers.GPT2LMHeadModel(config).eval()
    cached, uncached = (
        draw(read, PROMPTS, Drawing(24, 10, 0.0), "cpu").tokens.tolist()
        for read in (decoder(network), Uncached(lambda tokens: network(tokens).logits))
    )
    assert cached == uncached


@pytest.mark.slow
@quiet
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_causal_language_model_of_transformers_trains_from_its_folder(tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    characters = {character: n for n, character in enumerate("_0123456789+-*/=# abcdefgh.")}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(characters, unk_token="_"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    known = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="_")
    known.save_pretrained(tmp_path / "model")
    size = {"n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 32}
    torch.manual_seed(0)
    config = transformers.GPT2Config(**size, vocab_size=32, bos_token_id=0, eos_token_id=0)
    network = transformers.GPT2LMHeadModel(config)
    network.save_pretrained(tmp_path / "model")
    made = study()
    model = {"pretrained": str(tmp_path / "model"), "length": 32, "group": 4}
    changed = made.model.model_copy(update={"init_args": model})
    made = made.model_copy(update={"model": changed})
    outcome = trial(made, tmp_path / "run")
    assert outcome.state == "done", outcome.failure
    before = network.state_dict()["transformer.wte.weight"]
    after = torch.load(tmp_path / "run/model.ckpt", weights_only=True)["state_dict"]
    assert not torch.equal(after["network.transformer.wte.weight"], before)
