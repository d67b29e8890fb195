"""The text transformer: against transformers' GPT-2, cached and not, in and out of files."""

import json
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spatioformer.common.errors import ModelError
from spatioformer.nn import GPT
from spatioformer.nn.gpt import WORTH_LAYING_OUT, laid_out_for_rows
from spatioformer.nn.pretrained import read_weights, write_weights
from spatioformer.nn.sampling import distribution, sample
from spatioformer.nn.transformer import Transformer
from tests.helpers.nn_reference import (
    TOLERANCE,
    block_config,
    difference,
    load_torch_encoder,
    randomise,
    torch_encoder,
)

VOCABULARY, CONTEXT, WIDTH, HEADS, LAYERS, HIDDEN, BATCH, TOKENS = 53, 17, 35, 5, 2, 13, 3, 11


def small(**changes) -> GPT:
    torch.manual_seed(0)
    sizes = {"width": WIDTH, "heads": HEADS, "layers": LAYERS, "mlp_hidden": HIDDEN}
    return GPT(VOCABULARY, CONTEXT, **(sizes | changes))


def random_gpt(**changes) -> GPT:
    return randomise(small(**changes).double().eval())


def some_ids(batch=BATCH, tokens=TOKENS) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randint(VOCABULARY, (batch, tokens), generator=generator)


@pytest.fixture(scope="module")
def hugging_face():
    """transformers' GPT-2 with random float64 weights."""
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=CONTEXT,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        n_inner=HIDDEN,
        bos_token_id=None,
        eos_token_id=None,
    )
    return randomise(transformers.GPT2LMHeadModel(config).double().eval())


@pytest.fixture
def folder(hugging_face, tmp_path):
    hugging_face.save_pretrained(tmp_path / "gpt2")
    return tmp_path / "gpt2"


class TestAgainstTransformers:
    @pytest.mark.slow
    def test_logits(self, hugging_face, folder):
        model = GPT.from_pretrained(folder).eval()
        assert difference(model(some_ids()), hugging_face(some_ids()).logits) <= TOLERANCE

    @pytest.mark.parametrize(
        "change",
        [
            {"causal": False},
            {"norm": "post"},
            {"activation": "gelu"},
            {"activation": "relu"},
            {"eps": 1e-6},
            {"heads": 7},
        ],
        ids=str,
    )
    def test_each_switch_matters(self, hugging_face, folder, change):
        model = GPT.from_pretrained(folder).eval()
        switches = block_config(causal=True, activation="gelu_tanh", heads=HEADS)
        mutant = Transformer(replace(switches, **change), LAYERS).double()
        mutant.load_state_dict(model.transformer.state_dict(), strict=False)
        if change == {"norm": "post"}:
            mutant.norm = model.transformer.norm
        model.transformer = mutant
        assert difference(model(some_ids()), hugging_face(some_ids()).logits) > 100 * TOLERANCE

    def test_greedy_tokens(self, hugging_face, folder):
        model = GPT.from_pretrained(folder).eval()
        prompt = some_ids(tokens=4)
        want = hugging_face.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            max_new_tokens=13,
            pad_token_id=0,
        )
        got = model.generate(prompt, 13, temperature=0)
        assert got.tolist() == want[:, 4:].tolist()
        assert len(set(got.flatten().tolist())) > 3

    @pytest.mark.parametrize(
        ("temperature", "top_k", "top_p"), [(0.7, None, None), (1, 5, None), (1.3, None, 0.6)]
    )
    def test_sampling_distribution(self, hugging_face, temperature, top_k, top_p):
        from transformers import generation

        logits = torch.randn(7, VOCABULARY, generator=torch.Generator().manual_seed(0)).double()
        steps = [generation.TemperatureLogitsWarper(float(temperature))]
        if top_k:
            steps.append(generation.TopKLogitsWarper(top_k))
        if top_p:
            steps.append(generation.TopPLogitsWarper(top_p))
        want = logits
        for step in steps:
            want = step(None, want)
        got = distribution(logits, temperature, top_k, top_p)
        assert difference(got, want.softmax(-1)) <= TOLERANCE
        assert torch.equal(got > 0, want > -torch.inf)

    def test_our_folder_opens_there(self, hugging_face, tmp_path):
        ours = random_gpt()
        ours.save_pretrained(tmp_path)
        theirs = type(hugging_face).from_pretrained(tmp_path).eval()
        assert theirs.dtype == torch.float64
        assert difference(theirs(some_ids()).logits, ours(some_ids())) <= TOLERANCE


def test_logits_from_torch_layers():
    """Without transformers: embedding, torch's pre-norm encoder, tied unembedding."""
    model = random_gpt()
    theirs = torch_encoder(block_config(causal=True, activation="gelu_tanh")).double().eval()
    randomise(theirs, seed=1)
    load_torch_encoder(model.transformer, theirs)
    ids = some_ids()
    x = model.embedding.weight[ids] + model.positions.weight[:TOKENS]
    mask = nn.Transformer.generate_square_subsequent_mask(TOKENS, dtype=torch.float64)
    want = theirs(x, mask) @ model.embedding.weight.T
    assert difference(model(ids), want) <= TOLERANCE


class TestCache:
    @settings(max_examples=8, deadline=None)
    @given(st.lists(st.integers(1, TOKENS - 1), max_size=3, unique=True).map(sorted))
    def test_cached_equals_uncached(self, cuts):
        model, ids = random_gpt(), some_ids()
        past, parts = model.new_past(), []
        for start, end in zip([0, *cuts], [*cuts, TOKENS], strict=True):
            parts.append(model(ids[:, start:end], past))
        assert difference(torch.cat(parts, 1), model(ids)) <= TOLERANCE

    def test_generation_equals_full_passes(self):
        model, ids = random_gpt(), some_ids(tokens=3)
        got = model.generate(ids, CONTEXT - 3, temperature=0)
        for _ in range(CONTEXT - 3):
            ids = torch.cat([ids, model(ids)[:, -1:].argmax(-1)], dim=1)
        assert torch.equal(got, ids[:, 3:])


class TestGeneration:
    def test_seeded(self):
        model, ids = random_gpt(), some_ids(tokens=2)
        first = model.generate(ids, 9, temperature=1.5, seed=1)
        assert torch.equal(model.generate(ids, 9, temperature=1.5, seed=1), first)
        assert not torch.equal(model.generate(ids, 9, temperature=1.5, seed=2), first)
        assert first.shape == (BATCH, 9)

    def test_narrowed_to_one_token_is_greedy(self):
        model, ids = random_gpt(), some_ids(tokens=2)
        greedy = model.generate(ids, 9, temperature=0)
        assert torch.equal(model.generate(ids, 9, top_k=1), greedy)
        assert torch.equal(model.generate(ids, 9, top_p=1e-9), greedy)

    def test_stream_yields_the_same_tokens_one_by_one(self):
        model, ids = random_gpt(), some_ids(tokens=2)
        stream = model.stream(ids, 9, seed=4)
        first = next(stream)
        assert first.shape == (BATCH,)
        assert torch.equal(torch.stack([first, *stream], 1), model.generate(ids, 9, seed=4))

    def test_a_copy_laid_out_for_rows_gives_the_same_logits(self):
        model, ids = random_gpt(), some_ids()
        twin = laid_out_for_rows(model)
        assert difference(twin(ids), model(ids)) < TOLERANCE
        for name, weights in twin.named_parameters():
            if weights.ndim == 2:  # along the longer side one step in memory is one number
                assert weights.stride(0 if len(weights) > weights.shape[1] else 1) == 1, name
        assert all(parameter.is_contiguous() for parameter in model.parameters())

    def test_a_long_text_is_that_of_the_model_itself(self, monkeypatch):
        torch.manual_seed(0)
        model = GPT(VOCABULARY, 50, WIDTH, HEADS, LAYERS).double().eval()
        ids, count = some_ids(tokens=2), WORTH_LAYING_OUT
        expected = model.generate(ids, count, seed=3)
        monkeypatch.setattr("spatioformer.nn.gpt.WORTH_LAYING_OUT", count + 1)
        assert torch.equal(model.generate(ids, count, seed=3), expected)

    def test_distribution_by_hand(self):
        logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]], dtype=torch.float64).log()
        assert distribution(logits)[0].tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1])
        squares = [x / 0.3 for x in (0.16, 0.09, 0.04, 0.01)]
        assert distribution(logits, 0.5)[0].tolist() == pytest.approx(squares)
        assert distribution(logits, top_k=2)[0].tolist() == pytest.approx([4 / 7, 3 / 7, 0, 0])
        assert distribution(logits, top_p=0.75)[0].tolist() == pytest.approx(
            [4 / 9, 1 / 3, 2 / 9, 0]
        )
        assert distribution(logits, top_p=1)[0].tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1])
        both = distribution(logits, top_k=2, top_p=0.5)[0].tolist()  # 4/7 alone reaches .5
        assert both == pytest.approx([1, 0, 0, 0])

    def test_draws_follow_the_distribution(self):
        probabilities = torch.tensor([0.5, 0.3, 0.2, 0.0])
        logits = probabilities.log().expand(20_000, 4)
        drawn = sample(logits, generator=torch.Generator().manual_seed(0))
        shares = torch.bincount(drawn, minlength=4) / 20_000
        assert (shares - probabilities).abs().max() < 4 * (0.25 / 20_000) ** 0.5
        assert shares[3] == 0

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"temperature": -1}, "temperature -1 cannot be used; choose 0 or more"),
            ({"top_k": 0}, "top-k 0 lets no token through; choose 1 or more"),
            ({"top_p": 0.0}, "top-p 0.0 cannot be used; choose a share above 0"),
            ({"top_p": 1.5}, "top-p 1.5 cannot be used"),
            ({"count": 15}, "prompt of 3 tokens and 15 new ones exceed the context of 17; shorten"),
        ],
    )
    def test_wrong_arguments(self, arguments, said):
        with pytest.raises(ModelError, match=said):
            small().generate(some_ids(tokens=3), **({"count": 2} | arguments))

    def test_empty_prompt(self):
        with pytest.raises(ModelError, match="the prompt has 0 tokens; give at least one"):
            small().generate(some_ids(tokens=0), 2)

    def test_text_longer_than_the_context(self):
        with pytest.raises(ModelError, match="18 tokens do not fit a context of 17; shorten"):
            small()(some_ids(tokens=18))
        model = small()
        past = model.new_past()
        model(some_ids(tokens=10), past)
        with pytest.raises(ModelError, match="18 tokens do not fit"):
            model(some_ids(tokens=8), past)


class TestModel:
    def test_no_future_leakage(self):
        model, ids = random_gpt(), some_ids()
        changed = ids.clone()
        changed[:, 6:] = (changed[:, 6:] + 1) % VOCABULARY
        assert torch.equal(model(changed)[:, :6], model(ids)[:, :6])
        assert not torch.equal(model(changed)[:, 6:], model(ids)[:, 6:])

    def test_batch_size_does_not_matter_and_evaluation_is_deterministic(self):
        model, ids = random_gpt(dropout=0.3), some_ids()
        assert torch.equal(model(ids), model(ids))
        alone = torch.cat([model(row[None]) for row in ids])
        assert difference(alone, model(ids)) <= TOLERANCE
        assert not torch.equal(model.train()(ids), model(ids))

    def test_initial_loss_is_that_of_ignorance(self):
        model = GPT(VOCABULARY, CONTEXT, 64, 4, 2)
        ids = some_ids()
        loss = nn.functional.cross_entropy(model(ids[:, :-1]).mT, ids[:, 1:])
        assert loss.item() == pytest.approx(math.log(VOCABULARY), rel=0.05)
        spread = {name: parameter.std().item() for name, parameter in model.named_parameters()}
        assert spread["transformer.blocks.0.mlp.up.weight"] == pytest.approx(0.02, rel=0.05)
        assert spread["transformer.blocks.1.mlp.down.weight"] == pytest.approx(0.01, rel=0.05)
        assert not model.transformer.blocks[0].mlp.up.bias.any()

    @pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
    def test_learns_one_batch(self, positions):
        model, ids = small(width=40, mlp_hidden=80, positions=positions), some_ids()
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for _ in range(80):
            loss = nn.functional.cross_entropy(model(ids[:, :-1]).mT, ids[:, 1:])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        assert loss.item() < 0.05
        assert torch.equal(model.eval().generate(ids[:, :1], 10, temperature=0), ids[:, 1:])

    def test_patterns(self):
        model, patterns = random_gpt(), []
        model(some_ids(), record=patterns)
        assert [pattern.weights.shape for pattern in patterns] == [
            (BATCH, HEADS, TOKENS, TOKENS)
        ] * 2

    def test_config_rebuilds_the_model(self):
        model = small(positions="sinusoidal", activation="relu", eps=1e-3, dropout=0.1)
        twin = GPT(**json.loads(json.dumps(model.config)))
        assert twin.config == model.config
        twin.load_state_dict(model.state_dict())
        assert torch.equal(twin.eval()(some_ids()), model.eval()(some_ids()))


class TestFiles:
    @pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
    def test_save_and_load_bit_equal(self, tmp_path, positions):
        model = small(positions=positions, activation="gelu", dropout=0.2).eval()
        model.save_pretrained(tmp_path)
        again = GPT.from_pretrained(tmp_path).eval()
        assert again.config == model.config
        assert torch.equal(again(some_ids()), model(some_ids()))

    def test_older_names(self, tmp_path):
        model = small().eval()
        model.save_pretrained(tmp_path)
        state = read_weights(tmp_path / "model.safetensors")
        old = {name.removeprefix("transformer."): tensor for name, tensor in state.items()}
        old["lm_head.weight"] = old["wte.weight"].clone()
        for i in range(LAYERS):
            old[f"h.{i}.attn.bias"] = torch.ones(1, 1, CONTEXT, CONTEXT)
            old[f"h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
        write_weights(tmp_path / "model.safetensors", old)
        assert torch.equal(GPT.from_pretrained(tmp_path).eval()(some_ids()), model(some_ids()))
        old["lm_head.weight"] += 1
        write_weights(tmp_path / "model.safetensors", old)
        with pytest.raises(ModelError, match=r"unexpected: lm_head.weight\)"):
            GPT.from_pretrained(tmp_path)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"model_type": "bert"}, r"holds a model of type 'bert'; give one of type 'gpt2'"),
            ({"activation_function": "swish"}, "activation 'swish' is not supported; choose"),
            ({"tie_word_embeddings": False}, "tie_word_embeddings = False; only True"),
            ({"scale_attn_by_inverse_layer_idx": True}, "only False is supported"),
            ({"n_layer": 3}, r"missing: transformer.h.2.ln_1.weight, .* and 8 more"),
            ({"n_layer": 1}, r"unexpected: transformer.h.1"),
            ({"n_positions": 19}, r"wpe.weight \(17, 35\) instead of \(19, 35\)"),
            ({"n_inner": 14}, r"c_fc.weight \(35, 13\) instead of \(35, 14\)"),
            ({"n_head": 4}, "width 35 cannot be shared by 4 heads"),
            ({"n_head": None}, "n_head = None; give a config.json in which"),
        ],
        ids=str,
    )
    def test_wrong_config(self, tmp_path, change, said):
        small().save_pretrained(tmp_path)
        config = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ModelError, match=said):
            GPT.from_pretrained(tmp_path)

    def test_incomplete_config(self, tmp_path):
        small().save_pretrained(tmp_path)
        (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
        with pytest.raises(ModelError, match=r"configuration of a GPT-2 has n_embd = None; give"):
            GPT.from_pretrained(tmp_path)

    def test_truncated_weights(self, tmp_path):
        small().save_pretrained(tmp_path)
        path = tmp_path / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(ModelError, match=r"safetensors cannot be read as safetensors"):
            GPT.from_pretrained(tmp_path)

    def test_weights_of_another_format(self, tmp_path):
        small().save_pretrained(tmp_path)
        (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
        with pytest.raises(ModelError, match="does not exist; only safetensors are read"):
            GPT.from_pretrained(tmp_path)

    @pytest.mark.parametrize("content", [None, "{", "[1]"])
    def test_no_config(self, tmp_path, content):
        if content:
            (tmp_path / "config.json").write_text(content)
        with pytest.raises(ModelError, match=r"config.json cannot be read|model of type None"):
            GPT.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["../part.safetensors", "/etc/passwd", "part.bin", 3])
def test_an_index_names_only_files_of_its_folder(tmp_path, name):
    save_sharded(tmp_path, name)
    with pytest.raises(ModelError, match=r"names|cannot be read"):
        GPT.from_pretrained(tmp_path)


def test_weights_in_several_files_are_those_of_one(tmp_path):
    whole = save_sharded(tmp_path)
    read = GPT.from_pretrained(tmp_path)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, read.state_dict()[name])
    (tmp_path / "part-0.safetensors").unlink()
    with pytest.raises(ModelError, match=r"part-0\.safetensors does not exist"):
        GPT.from_pretrained(tmp_path)


def save_sharded(folder, name="part-1.safetensors") -> GPT:
    """Save a model in two files with an index, which calls the second `name`."""
    whole = small()
    whole.save_pretrained(folder)
    state = read_weights(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {}
    for i in range(2):
        part = dict(list(state.items())[i::2])
        write_weights(folder / f"part-{i}.safetensors", part)
        places |= dict.fromkeys(part, name if i else "part-0.safetensors")
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return whole
