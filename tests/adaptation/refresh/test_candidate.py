from dataclasses import replace

import pytest
import torch

from audiocodec.adaptation.refresh.acceptance import ERROR, score, with_codebooks
from audiocodec.adaptation.refresh.candidate import RefreshOptions, refresh, seconds_needed
from audiocodec.adaptation.refresh.refine import Refining, encode_clips, refine_entries
from audiocodec.adaptation.refresh.refit import Fit
from audiocodec.adaptation.refresh.stack import Stack
from audiocodec.codec import Codec
from audiocodec.errors import InputError
from audiocodec.losses.reconstruction import RefreshLoss
from audiocodec.model import ModelConfig, build_model
from audiocodec.nn.seanet import SEANetConfig
from audiocodec.quantizers import QuantizerConfig, build_quantizer
from audiocodec.quantizers.latent_map import LatentMap
from audiocodec.revisions import adapter_parameters

QUICK = Refining(steps=8, batch=3, excerpt_seconds=0.8, settling_seconds=0.1)


@pytest.mark.parametrize("method", ["kmeans", "gradient", "online"])
def test_other_sound_of_the_environment_is_coded_with_less_error(codec, make_sound, method):
    here, elsewhere = make_sound(12, changed=True, seed=1), make_sound(4, changed=True, seed=2)
    own = {name: codebook.clone() for name, codebook in codec.model.quantizer.codebooks().items()}
    options = RefreshOptions(method, refining=QUICK, fraction=0.5)
    found = refresh(codec, here, make_sound(6, seed=3), options)
    refreshed = with_codebooks(codec, found.tensors)
    before, after = (score(c, elsewhere.clips, None).values[ERROR].mean() for c in (codec, refreshed))
    assert after < (0.995 if method == "online" else 0.95) * before
    assert all(
        torch.equal(own[name], codebook) for name, codebook in codec.model.quantizer.codebooks().items()
    )
    assert found.extras == {}
    with pytest.raises(InputError, match="s of usable sound"):
        refresh(codec, make_sound(2), make_sound(2), options)


def test_a_map_of_latents_of_an_older_revision_stays(codec, make_sound):
    dim = codec.model.quantizer.dim
    extras = {"map.scale": torch.full((dim,), 1.2), "map.shift": torch.full((dim,), 0.1)}
    mapped = with_codebooks(codec, {**codec.model.quantizer.codebooks(), **extras})
    found = refresh(mapped, make_sound(12, changed=True, seed=1), make_sound(6, seed=3), RefreshOptions())
    assert found.extras.keys() == extras.keys()
    assert all(torch.equal(found.extras[name], tensor) for name, tensor in extras.items())


@pytest.mark.parametrize("method", ["none", "kmeans"])
def test_an_adapter_lets_the_decoder_follow(codec, make_sound, method):
    here, elsewhere = make_sound(12, changed=True, seed=1), make_sound(4, changed=True, seed=2)
    state = {name: tensor.clone() for name, tensor in codec.model.state_dict().items()}
    options = RefreshOptions(
        method, adapter=True, refining=replace(QUICK, steps=30, adapter_rate=0.03), fraction=0.5
    )
    found = refresh(codec, here, make_sound(6, seed=3), options)
    assert all(torch.equal(state[name], tensor) for name, tensor in codec.model.state_dict().items())
    own = adapter_parameters(codec.model.decoder)
    assert found.extras.keys() == own.keys()
    codebooks = codec.model.quantizer.codebooks()
    unchanged = [torch.equal(codebooks[name], tensor) for name, tensor in found.codebooks.items()]
    assert all(unchanged) if method == "none" else not any(unchanged)
    refreshed = with_codebooks(codec, found.tensors)
    loss = RefreshLoss(codec.sample_rate)

    def error(other):
        found = [(other.decompress(other.compress(c.wav, 16000))[0], c.wav[None]) for c in elsewhere.clips]
        return sum(float(loss(torch.from_numpy(decoded), torch.from_numpy(wav))) for decoded, wav in found)

    unadapted = with_codebooks(codec, found.codebooks) if method == "kmeans" else codec
    assert error(refreshed) < 0.97 * error(unadapted)
    # A refresh without one keeps what is in use.
    again = refresh(refreshed, here, make_sound(6, seed=3), RefreshOptions("kmeans"))
    assert all(torch.equal(again.extras[name], tensor) for name, tensor in found.extras.items())


def test_waveform_nets_are_refreshed_by_gradient_too(make_sound):
    torch.manual_seed(0)
    net = SEANetConfig(channels=4, dim=8, strides=(4, 5, 8), lstm_layers=0)
    config = ModelConfig(net=net, quantizer=QuantizerConfig(num_quantizers=2, codebook_size=16))
    codec = Codec(build_model(config).eval(), config, {})
    options = RefreshOptions("gradient", adapter=True, refining=replace(QUICK, steps=2))
    found = refresh(codec, make_sound(12, changed=True, seed=1), make_sound(6, seed=3), options)
    assert found.extras.keys() == adapter_parameters(codec.model.decoder).keys()


def test_a_gradient_step_moves_movable_entries_only(codec, make_sound):
    stack = Stack.of(codec.model.quantizer)
    pool = encode_clips(codec.model, make_sound(3, changed=True).clips)
    moved = tuple(torch.arange(len(entry)) < 20 for entry in stack.entries)
    found = refine_entries(codec.model, Fit(stack, moved), pool, [], QUICK, torch.Generator().manual_seed(0))
    for before, after, free in zip(stack.entries, found.stack.entries, moved, strict=True):
        assert torch.equal(before[~free], after[~free])
        assert not torch.equal(before[free], after[free])
        assert not after.requires_grad
    assert all(parameter.grad is None for parameter in codec.model.parameters())
    assert all(parameter.requires_grad for parameter in codec.model.parameters())


def test_a_stack_searches_and_sums_as_the_quantizer_does(codec, make_sound):
    quantizer = codec.model.quantizer
    rows = encode_clips(codec.model, make_sound(1).clips)[0].latents
    mapped = LatentMap(quantizer)
    mapped.scale.fill_(1.25)
    mapped.shift.fill_(-0.1)
    for whole in (quantizer, mapped):
        stack = Stack.of(whole)
        codes = stack.search(rows)
        assert torch.equal(codes.t()[None], whole.encode(rows.t()[None]))
        assert torch.allclose(stack.sums(codes).t()[None], whole.decode(codes.t()[None]), atol=1e-5)
    assert Stack.of(quantizer).error_prefixes == (2, 4, 6, 8)


def test_quantizers_without_such_a_stack_are_refused():
    for quantizer in (
        build_quantizer(QuantizerConfig("fsq", 2, 64, search_width=1), 8),
        build_quantizer(QuantizerConfig("ema", 2, 16, search_width=1, groups=2), 8),
    ):
        with pytest.raises(InputError, match="cannot be refreshed"):
            Stack.of(quantizer)


def test_options_are_checked(codec, make_sound):
    for changes, message in (
        ({"method": "magic"}, "kmeans, gradient, online"),
        ({"method": "none"}, "changes nothing by itself"),
        ({"fraction": 0.0}, "above 0"),
        ({"stages": (3, 2)}, "first to last"),
    ):
        with pytest.raises(InputError, match=message):
            RefreshOptions(**changes)
    with pytest.raises(InputError, match="this model has 1 to 8"):
        refresh(codec, make_sound(12), make_sound(2), RefreshOptions(stages=(2, 9)))
    assert seconds_needed(codec, RefreshOptions(fraction=1.0)) == 20
