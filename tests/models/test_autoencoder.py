"""The autoencoder of every sparsifier: its formulas, its gradients, its symmetry, its refusals."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from models.sae import SAEConfig, SparseAutoencoder, SparseCode, autoencoder
from models.sae.sparsifiers import batchabstopk, batchtopk
from tests.models.small_sae import (
    D_IN,
    D_SAE,
    KINDS,
    LEARNS_FROM_ROWS,
    ONE_SIDED,
    SIGNED,
    K,
    draw,
    draw_tokens,
    make_config,
    make_sae,
)

K_SPARSE = ("topk", "abstopk", "batchtopk", "batchabstopk", "vsae")
BATCHED = ("batchtopk", "batchabstopk")


@pytest.mark.parametrize("kind", KINDS)
def test_forward_is_the_written_formula(kind: str) -> None:
    sae, x = make_sae(kind, input_scale=1.7), draw(11, D_IN)
    z = sae.encode(x)
    u = (1.7 * x - sae.b_dec) @ sae.W_enc + sae.b_enc
    shrunk = {"relu": 0.3, "soft_threshold": 0.3 * u.sign()}.get(kind, 0.0)
    assert_close(z[z != 0], (u - shrunk)[z != 0])
    assert_close(sae.decode(z), (z @ sae.W_dec + sae.b_dec) / 1.7)
    assert_close(sae(x).reconstruction / 1.7, sae.decode(z))
    assert_close(sae(x).target, 1.7 * x)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [1, 3 * D_SAE, 1 << 22])
def test_sparse_and_dense_codes_agree(
    kind: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autoencoder, "CHUNK", chunk)
    sae, x = make_sae(kind), draw(11, D_IN)
    code = sae.encode_sparse(x)
    assert_close(code.dense(D_SAE), sae.encode(x))
    assert_close(sae.decode(code), sae.decode(sae.encode(x)))


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_batch_is_coded_and_decoded(kind: str) -> None:
    sae = make_sae(kind)
    assert sae.encode(draw(0, D_IN)).shape == (0, D_SAE)
    assert sae.decode(sae.encode_sparse(draw(0, D_IN))).shape == (0, D_IN)


@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_never_holds_a_pre_activation_of_the_whole_batch(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autoencoder, "CHUNK", 2 * D_SAE)
    sae, rows = make_sae(kind), []
    original = sae.pre_activate
    monkeypatch.setattr(
        sae, "pre_activate", lambda target: rows.append(len(target)) or original(target)
    )
    sae.encode_sparse(draw(9, D_IN))
    assert all(count <= 2 for count in rows)
    assert rows or kind in ("topk", "abstopk", "vsae")


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_coded_independently_in_evaluation(kind: str) -> None:
    sae, x = make_sae(kind), draw(6, D_IN)
    assert_close(sae.encode(x)[2:3], sae.encode(x[2:3]))


def test_only_signed_sparsifiers_give_negative_codes() -> None:
    x = draw(200, D_IN)
    for kind in SIGNED:
        assert make_sae(kind).config.is_signed
        assert (make_sae(kind).encode(x) < 0).any(), kind
        assert (make_sae(kind).encode(x) > 0).any(), kind
    for kind in ONE_SIDED:
        assert not make_sae(kind).config.is_signed
        assert (make_sae(kind).encode(x) >= 0).all(), kind
        assert (make_sae(kind).encode(x) > 0).any(), kind
    assert (make_sae("vsae", by_magnitude=True).encode(x) < 0).any()


@given(st.integers(0, 2**31 - 1), st.integers(1, D_SAE))
@settings(max_examples=15, deadline=None)
def test_abstopk_is_topk_on_the_doubled_dictionary(seed: int, k: int) -> None:
    signed = make_sae("abstopk", seed, k=k).double()
    split = SparseAutoencoder(SAEConfig(D_IN, 2 * D_SAE, "topk", k)).double()
    with torch.no_grad():
        split.W_enc.copy_(torch.cat([signed.W_enc, -signed.W_enc], dim=1))
        split.b_enc.copy_(torch.cat([signed.b_enc, -signed.b_enc]))
        split.W_dec.copy_(torch.cat([signed.W_dec, -signed.W_dec]))
        split.b_dec.copy_(signed.b_dec)
    x = draw(7, D_IN, seed=seed, dtype=torch.float64)
    assert_close(split(x).reconstruction, signed(x).reconstruction)
    z = split.encode(x)
    assert_close(z[:, :D_SAE] - z[:, D_SAE:], signed.encode(x))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_training", [False, True])
def test_flipping_latents_negates_codes_and_leaves_reconstructions(
    kind: str, is_training: bool
) -> None:
    sae, x = make_sae(kind).train(is_training), draw(9, D_IN)
    features = torch.arange(D_SAE) % 3 == 0
    if kind in ONE_SIDED:
        with pytest.raises(ValueError, match="one-sided"):
            sae.flip(features)
        return
    code, reconstruction = sae.encode(x), sae(x).reconstruction
    sae.flip(features)
    assert_close(sae.encode(x), torch.where(features, -code, code))
    assert_close(sae(x).reconstruction, reconstruction)
    if not is_training:
        assert_close(sae.decode(sae.encode_sparse(x)), reconstruction)


@pytest.mark.parametrize("kind", BATCHED)
def test_training_ranks_the_batch_and_evaluation_does_not(kind: str) -> None:
    sae, x = make_sae(kind).train(), draw(13, D_IN)
    output = sae(x)
    u = sae.pre_activate(sae.scale(x))
    expected = (batchabstopk if sae.config.is_signed else batchtopk)(u, K)
    assert isinstance(output.code, SparseCode)
    assert_close(output.code.dense(D_SAE), expected.dense(D_SAE))
    size = u.abs() if sae.config.is_signed else u
    kept = torch.where(size >= 0.8, u, torch.zeros_like(u))
    assert_close(sae.encode(x), kept)
    assert_close(sae.eval()(x).code.dense(D_SAE), kept)


@pytest.mark.parametrize("kind", BATCHED)
def test_the_learnt_threshold_brings_k_latents_a_token_on_fresh_data(kind: str) -> None:
    sae = make_sae(kind).train()
    sae.threshold.zero_()
    first = sae(draw(256, D_IN, seed=1)).code
    sae.update_threshold(first)
    assert_close(sae.threshold, first.values[first.values != 0].abs().min())
    for seed in range(2, 50):
        sae.update_threshold(sae(draw(256, D_IN, seed=seed)).code)
    l0 = (sae.encode(draw(10_000, D_IN, seed=0)) != 0).sum(-1).float().mean()
    assert float(l0) == pytest.approx(K, rel=0.05)


@pytest.mark.parametrize("kind", BATCHED)
def test_a_batch_without_activity_leaves_the_threshold(kind: str) -> None:
    sae = make_sae(kind)
    sae.update_threshold(SparseCode(torch.zeros(3, 2, dtype=torch.long), torch.zeros(3, 2)))
    assert_close(sae.threshold, torch.tensor(0.8))
    with pytest.raises(ValueError, match="learns no threshold"):
        make_sae("topk").update_threshold(make_sae("topk")(draw(3, D_IN)).code)


@pytest.mark.parametrize("kind", KINDS)
def test_the_penalty_is_the_sparsifier_s_own(kind: str) -> None:
    sae, x = make_sae(kind), draw(9, D_IN)
    if kind == "vsae":
        return  # tests/models/test_vsae.py
    z, penalty = sae.encode(x), sae(x).penalty
    expected = {
        "relu": z.abs().sum(-1),
        "soft_threshold": z.abs().sum(-1),
        "jumprelu": (z != 0).sum(-1).float(),
        "hard_threshold": (z != 0).sum(-1).float(),
    }.get(kind, torch.zeros(9))
    assert_close(penalty, expected)


@pytest.mark.parametrize("kind", LEARNS_FROM_ROWS)
@pytest.mark.parametrize("options", [{}, {"prefixes": (3, 9, D_SAE)}], ids=["plain", "matryoshka"])
def test_gradients_match_finite_differences(kind: str, options: dict) -> None:
    if kind == "vsae":
        options = options | {"sample": False, "by_magnitude": True}
    sae = make_sae(kind, **options).double().train()
    x = draw(5, D_IN, dtype=torch.float64)
    names = ["W_enc", "b_enc", "W_dec", "b_dec"]

    def loss(*weights: torch.Tensor) -> torch.Tensor:
        output = torch.func.functional_call(sae, dict(zip(names, weights, strict=True)), (x,))
        errors = [(output.target - x_hat).square().sum() for x_hat in output.prefixes]
        errors.append((output.target - output.reconstruction).square().sum())
        # L0 is a step: its only gradient is the straight-through one to θ.
        smooth = output.penalty.sum() if kind in ("relu", "soft_threshold", "vsae") else 0.0
        return torch.stack(errors).sum() + 0.1 * smooth

    weights = [getattr(sae, name).detach().clone().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(loss, weights, eps=1e-7, atol=1e-4, fast_mode=True)


@pytest.mark.parametrize("kind", ["jumprelu", "hard_threshold"])
def test_the_learnt_threshold_gets_its_gradient_through_its_logarithm(kind: str) -> None:
    sae = make_sae(kind, bandwidth=0.5).double()
    x = draw(40, D_IN, dtype=torch.float64)
    output = sae(x)
    loss = (output.target - output.reconstruction).square().sum() + 0.3 * output.penalty.sum()
    loss.backward()
    u, theta = sae.pre_activate(sae.scale(x)).detach(), sae.log_threshold.detach().exp()
    rank = u.abs() if sae.config.is_signed else u
    kernel = ((rank - theta).abs() < 0.25) / 0.5
    to_z = -2 * (output.target - output.reconstruction).detach() @ sae.W_dec.detach().T
    height = theta * u.sign() if sae.config.is_signed else theta
    expected = theta * -(kernel * (height * to_z + 0.3)).sum(0)
    assert expected.abs().max() > 0.1
    assert_close(sae.log_threshold.grad, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_some_pre_activations_are_columns_of_all(kind: str) -> None:
    sae, target = make_sae(kind), draw(6, D_IN)
    features = torch.tensor([3, 17, 0])
    assert_close(sae.pre_activate_some(target, features), sae.pre_activate(target)[:, features])


def test_token_ids_are_ignored_where_there_is_no_token_bias() -> None:
    sae, x = make_sae("abstopk"), draw(6, D_IN)
    assert_close(sae.encode(x, draw_tokens(6)), sae.encode(x))
    assert_close(sae.decode(sae.encode(x), draw_tokens(6)), sae.decode(sae.encode(x)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sparsifier": "topk", "k": 30}, "k is 30 .* d_sae = 20"),
        ({"sparsifier": "abstopk", "k": None}, "abstopk needs 1 ≤ k"),
        ({"sparsifier": "batchabstopk", "k": 0}, "batchabstopk needs 1 ≤ k"),
        ({"sparsifier": "relu", "k": 3}, "k = 3 has no meaning .* 'relu'"),
        ({"sparsifier": "hard_threshold", "threshold": 0.1, "k": 3}, "no meaning"),
        ({"sparsifier": "gelu"}, "unknown"),
        ({"sparsifier": "jumprelu"}, "jumprelu needs an initial threshold"),
        ({"sparsifier": "hard_threshold"}, "hard_threshold needs an initial threshold"),
        ({"sparsifier": "relu", "threshold": -1.0}, "at least 0"),
        ({"sparsifier": "topk", "k": 3, "threshold": 0.1}, "threshold = 0.1 .* 'topk'"),
        ({"sparsifier": "jumprelu", "threshold": 0.1, "bandwidth": 0.0}, "bandwidth"),
        ({"sparsifier": "topk", "k": 3, "input_scale": float("nan")}, "input_scale"),
        ({"sparsifier": "vsae", "k": 3, "rectify": True, "by_magnitude": True}, "no negative code"),
        ({"sparsifier": "vsae", "k": 3, "sigma": "free"}, "fixed or learned"),
        ({"sparsifier": "topk", "k": 3, "by_magnitude": True}, "by_magnitude .* 'topk'"),
        ({"sparsifier": "topk", "k": 3, "rectify": True}, "rectify .* 'topk'"),
        ({"sparsifier": "topk", "k": 3, "sample": False}, "sample .* 'topk'"),
        ({"sparsifier": "topk", "k": 3, "sigma": "fixed"}, "sigma .* 'topk'"),
        ({"sparsifier": "topk", "k": 3, "prefixes": (5, 10)}, "prefixes .* d_sae = 20"),
        ({"sparsifier": "topk", "k": 3, "prefixes": (5, 5, 20)}, "prefixes .* must rise"),
        ({"sparsifier": "topk", "k": 3, "prefixes": (0, 20)}, "must rise from at least 1"),
        ({"sparsifier": "dim", "prefixes": (5, 20)}, "prefixes .* 'dim'"),
        ({"sparsifier": "dim", "token_bias": True, "vocabulary": 9}, "token_bias .* 'dim'"),
        ({"sparsifier": "topk", "k": 3, "token_bias": True}, "token_bias needs vocabulary"),
        ({"sparsifier": "topk", "k": 3, "vocabulary": 9}, "vocabulary = 9 .* token_bias"),
    ],
)
def test_impossible_settings_are_refused_with_a_sentence(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SAEConfig(8, 20, **options)


def test_prefixes_read_from_json_are_those_that_were_written() -> None:
    assert make_config("topk", prefixes=[5, 20]) == make_config("topk", prefixes=(5, 20))
    assert hash(make_config("topk", prefixes=[5, 20])) is not None
