import pytest
import torch

from audiocodec.errors import ConfigError
from audiocodec.quantizers import (
    QUANTIZERS,
    MultiScaleQuantizer,
    QuantizerConfig,
    ResidualQuantizer,
    build_method,
    build_quantizer,
)
from audiocodec.quantizers.nsvq import NonStationaryVectorQuantizer
from audiocodec.quantizers.product import ProductQuantizer


@pytest.mark.parametrize("method", sorted(QUANTIZERS))
def test_every_method_is_one_line_of_a_recipe(method: str) -> None:
    quantizer = build_quantizer(QuantizerConfig(method, 3, 64), 16)
    assert quantizer.prefixes == (1, 2, 3)
    assert quantizer.encode(torch.randn(1, 16, 5)).shape == (1, 3, 5)


@pytest.mark.parametrize("method", sorted(set(QUANTIZERS) - {"residual_fsq"}))
def test_groups_and_strides_are_one_line_too(method: str) -> None:
    grouped = build_quantizer(QuantizerConfig(method, 2, 64, groups=2), 16)
    assert isinstance(grouped.stages[0], ProductQuantizer)  # pyright: ignore
    assert grouped.prefixes == (2, 4)
    scaled = build_quantizer(QuantizerConfig(method, 2, 64, strides=(2, 1)), 16)
    assert isinstance(scaled, MultiScaleQuantizer)
    assert scaled.strides == (2, 1)


def test_options_reach_method_parts_and_groups_of_options() -> None:
    options = {"commitment_weight": 2, "estimator": "rotation", "tau": 3, "weighting": "paper"}
    quantizer = build_method(8, "nsvq", 16, options)
    assert isinstance(quantizer, NonStationaryVectorQuantizer)
    assert quantizer.parts.commitment_weight == 2
    assert quantizer.parts.estimator == "rotation"
    assert (quantizer.kernel.tau, quantizer.kernel.weighting) == (3, "paper")


def test_an_option_leaves_the_other_defaults_of_the_method() -> None:
    ema = build_method(8, "ema", 16, {"estimator": "rotation"})
    assert ema.parts.dead_codes == "random"  # pyright: ignore
    online = build_method(8, "online", 16, {"sample_top_k": 4})
    assert online.parts.dead_codes == "anchor"  # pyright: ignore


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "vq"}, r"method is 'vq'; choose one of affine, ema, .*wasserstein"),
        ({"codebook_size": 0}, r"codebook_size is 0; allowed are whole numbers from 1"),
        ({"num_quantizers": 0}, r"num_quantizers is 0; allowed are whole numbers from 1"),
        ({"groups": 3}, r"groups is 3; latents of width 16 allow \[1, 2, 4, 8, 16\]"),
        ({"strides": (2, 1, 1)}, r"strides are \(2, 1, 1\); give one for each of 2 stages"),
        ({"strides": (2, 0)}, r"stride is 0; allowed are whole numbers from 1"),
        (
            {"options": {"ema_decays": 0.9}},
            r"options.ema_decays is unknown to method 'ema'; it takes .*ema_decay,",
        ),
        (
            {"options": {"ema_decay": "fast"}},
            r"options.ema_decay of method 'ema' is 'fast'; expected a number",
        ),
        ({"options": {"sample_top_k": 2.5}}, r"options.sample_top_k .* expected a whole number"),
        (
            {"options": {"estimator": "soft"}},
            r"estimator is 'soft'; choose one of straight_through, rotation",
        ),
        ({"options": {"dead_codes": "all"}}, r"dead_codes is 'all'; choose one of none, random, anchor"),
        ({"options": {"sample_top_k": 0}}, r"sample_top_k is 0; allowed are whole numbers from 1"),
        ({"method": "simvq", "options": {"dead_codes": "random"}}, r"SimVectorQuantizer allows only 'none'"),
        (
            {"method": "simvq", "options": {"bias": 1}},
            r"options.bias of method 'simvq' is 1; expected true or false",
        ),
        ({"options": {"orthogonality_weight": 1.0}}, r"orthogonality_weight is 1.0; .* have no gradient"),
        ({"method": "lfq", "codebook_size": 100}, r"codebook_size is 100; .* powers of two"),
        ({"method": "fsq", "codebook_size": 3}, r"codebook_size is 3; levels of 5 and more need at least 5"),
        ({"method": "fsq", "options": {"levels": "8;5"}}, r"levels is '8;5'; write whole numbers from 2"),
        (
            {"method": "wasserstein", "options": {"variant": "energy"}},
            r"variant is 'energy'; choose gaussian, sliced, mmd",
        ),
        ({"method": "wasserstein", "options": {"queue_size": 1}}, r"queue_size is 1; allowed"),
        ({"method": "nsvq", "options": {"tau": 0.0}}, r"tau, tau_floor and tau_decay must be above 0"),
        ({"method": "transvq", "options": {"map": "cnn"}}, r"map is 'cnn'; choose attention or mlp"),
        ({"method": "residual_fsq", "groups": 2}, r"'residual_fsq' is a stack already"),
    ],
)
def test_what_a_recipe_gets_wrong_is_named(change: dict, message: str) -> None:
    config = QuantizerConfig(**{"codebook_size": 64, "num_quantizers": 2, **change})
    with pytest.raises(ConfigError, match=message):
        build_quantizer(config, 16)


def test_search_width_reaches_the_stack() -> None:
    quantizer = build_quantizer(QuantizerConfig("ema", 2, 16, search_width=3), 8)
    assert isinstance(quantizer, ResidualQuantizer)
    assert quantizer.search_width == 3
