"""Every supported family: the hook point, the residual stream, the direct path to the logits."""

import pytest
import torch
from torch.testing import assert_close

from models.language_model import LanguageModel
from tests.models.tiny import CONFIGS, END, save_tiny_lm, tiny_lm


@pytest.mark.parametrize("family", CONFIGS)
def test_residual_is_what_the_next_block_reads(family: str) -> None:
    lm = tiny_lm(family)
    ids = torch.randint(1, 300, (2, 9))
    with torch.no_grad():
        states = lm.model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states
    for layer in range(lm.layers - 1):  # transformers reports the last state behind the final norm
        assert_close(lm.residual(ids, layer), states[layer + 1])
    with torch.no_grad():
        assert_close(lm.final_norm(lm.residual(ids, lm.layers - 1)), states[-1])


@pytest.mark.parametrize("family", CONFIGS)
def test_an_edit_of_the_residual_stream_reaches_the_logits(family: str) -> None:
    lm = tiny_lm(family)
    ids = torch.randint(1, 300, (1, 6))
    plain = lm.model(input_ids=ids).logits
    with lm.intervene({1: lambda hidden: hidden}):
        assert torch.equal(lm.model(input_ids=ids).logits, plain)
    with lm.intervene({1: lambda hidden: hidden + 1.0}):
        assert not torch.allclose(lm.model(input_ids=ids).logits, plain)
    assert torch.equal(lm.model(input_ids=ids).logits, plain), "the hook must be gone"


@pytest.mark.parametrize("family", CONFIGS)
def test_a_pass_that_resumes_from_the_stream_is_the_whole_pass(family: str) -> None:
    lm = tiny_lm(family)
    ids = torch.randint(1, 300, (2, 7))
    plain = lm.model(input_ids=ids, use_cache=False).logits
    with lm.intervene({1: lambda hidden: hidden + 1.0}):
        moved = lm.model(input_ids=ids, use_cache=False).logits
    hidden = lm.residual(ids, 1)
    with lm.resume(1, hidden):
        assert torch.equal(lm.model(input_ids=ids, use_cache=False).logits, plain)
    with lm.resume(1, hidden + 1.0):
        assert torch.equal(lm.model(input_ids=ids, use_cache=False).logits, moved)
    assert torch.equal(lm.model(input_ids=ids, use_cache=False).logits, plain), (
        "all blocks are back"
    )


@pytest.mark.parametrize("family", CONFIGS)
def test_logit_effect_is_the_direct_path_with_the_norm_frozen(family: str) -> None:
    lm = tiny_lm(family)
    direction = torch.randn(1, lm.d_in)
    unit = torch.randn(1, lm.d_in)
    is_layer_norm = isinstance(lm.final_norm, torch.nn.LayerNorm)
    if is_layer_norm:
        unit = unit - unit.mean()
    unit = unit / unit.square().mean().sqrt()  # the norm's scale at this point is 1
    # the derivative at `unit` along a direction that keeps the scale
    along = direction - (direction.mean() if is_layer_norm else 0)
    along = along - (along * unit).sum() / unit.square().sum() * unit
    unembedding = lm.model.get_output_embeddings().weight
    step = 1e-2
    with torch.no_grad():
        change = (lm.final_norm(unit + step * along) - lm.final_norm(unit - step * along)) / (
            2 * step
        )
        assert_close(change @ unembedding.T, lm.logit_effect(along), atol=2e-2, rtol=2e-2)


def test_a_probe_that_fails_leaves_no_hook_behind(lm: LanguageModel) -> None:
    fresh = LanguageModel(lm.model, lm.tokenizer, "fresh")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fresh.model, "forward", lambda **_: 1 / 0)
        with pytest.raises(ZeroDivisionError), fresh.resume(0, torch.zeros(1, 2, fresh.d_in)):
            pass
    assert not fresh.blocks[0]._forward_hooks


def test_several_layers_come_from_one_pass(lm: LanguageModel) -> None:
    ids = torch.randint(1, 300, (2, 7))
    together = lm.residuals(ids, [2, 0])
    assert torch.equal(together[0], lm.residual(ids, 0))
    assert torch.equal(together[2], lm.residual(ids, 2))


def test_right_padding_changes_nothing_before_it(lm: LanguageModel) -> None:
    ids = torch.randint(1, 300, (1, 7))
    padded = torch.cat([ids, torch.zeros(1, 5, dtype=torch.long)], dim=1)
    assert_close(lm.residual(padded, 1)[:, :7], lm.residual(ids, 1))


def test_tokens_start_with_one_bos_and_spell_the_text(lm: LanguageModel) -> None:
    ids = lm.tokenize("The girl ran home. 🙂")
    assert ids[0] == lm.bos_token_id
    assert ids.count(lm.bos_token_id) == 1
    strings = [lm.vocabulary[token] for token in ids]
    assert strings[0] == END
    whole = [text for text in strings[1:] if "\\x" not in text]
    assert "".join(whole) == "The girl ran home. "
    assert any(text.startswith("\\x") for text in strings), "half characters are spelled as bytes"


@pytest.mark.parametrize("layer", [-1, 3, 99])
def test_a_layer_out_of_range_is_refused_with_the_range(lm: LanguageModel, layer: int) -> None:
    with pytest.raises(ValueError, match="layers 0 to 2"):
        lm.residual(torch.tensor([[1, 2]]), layer)


def test_a_saved_model_loads_from_its_folder(tmp_path, lm: LanguageModel) -> None:
    loaded = LanguageModel.load(str(save_tiny_lm(tmp_path)))
    ids = torch.randint(1, 300, (1, 5))
    assert_close(loaded.residual(ids, 1), lm.residual(ids, 1))
    assert loaded.hook_name == "gpt_neox.layers"


def test_a_folder_without_a_model_is_refused_with_a_sentence(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"no config\.json"):
        LanguageModel.load(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="not a causal language model"):
        LanguageModel.load(str(tmp_path))


@pytest.mark.parametrize(
    "name", ["../../etc", "/etc/passwd", "http://169.254.169.254/x", "a/..", "C:\\x"]
)
def test_hostile_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"no model|no config"):
        LanguageModel.load(name)
