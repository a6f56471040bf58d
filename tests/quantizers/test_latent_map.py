import pytest
import torch

from audiocodec.errors import InputError
from audiocodec.quantizers import QuantizerConfig, build_quantizer
from audiocodec.quantizers.latent_map import LatentMap


@pytest.fixture
def inner():
    torch.manual_seed(0)
    stack = build_quantizer(QuantizerConfig("vector", 3, 16), 6)
    stack.initialize(torch.randn(1, 6, 500))
    return stack.eval()


@pytest.fixture
def latents():
    return torch.randn(2, 6, 40, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def mapped(inner):
    quantizer = LatentMap(inner).eval()
    scale, shift = torch.tensor([2.0, 0.5, -1.0, 3.0, 1.0, 0.1]), torch.arange(6.0)
    quantizer.load_codebooks({**inner.codebooks(), "map.scale": scale, "map.shift": shift})
    return quantizer


def test_it_starts_as_what_is_inside(inner, latents):
    quantizer = LatentMap(inner)
    assert torch.equal(quantizer.encode(latents), inner.encode(latents))
    assert torch.equal(quantizer.decode(inner.encode(latents)), inner.decode(inner.encode(latents)))
    assert quantizer.prefixes == inner.prefixes
    assert quantizer.bits_per_frame(2) == inner.bits_per_frame(2)


def test_latents_are_coded_in_the_mapped_space(mapped, inner, latents):
    scale, shift = mapped.scale[:, None], mapped.shift[:, None]
    codes = inner.encode(latents, 2)
    assert torch.equal(mapped.encode(latents * scale + shift, 2), codes)
    torch.testing.assert_close(mapped.decode(codes), inner.decode(codes) * scale + shift)
    output = mapped(latents * scale + shift)
    torch.testing.assert_close(output.quantized, mapped.decode(output.codes))


def test_the_map_is_one_of_the_codebooks(mapped, inner):
    own = mapped.codebooks()
    assert set(own) == {*inner.codebooks(), "map.scale", "map.shift"}
    other = {name: codebook * 2 for name, codebook in own.items()}
    mapped.load_codebooks(other)
    assert all(torch.equal(mapped.codebooks()[name], codebook) for name, codebook in other.items())


def test_what_does_not_fit_is_refused(mapped):
    own = {name: codebook.clone() for name, codebook in mapped.codebooks().items()}
    own["map.scale"][3] = 0.0
    with pytest.raises(InputError, match="holds a zero"):
        mapped.load_codebooks(own)
    with pytest.raises(InputError, match="codebooks are named"):
        mapped.load_codebooks(mapped.inner.codebooks())
    with pytest.raises(InputError, match=r"expected \[B, 6, T\]"):
        mapped.encode(torch.zeros(1, 5, 3))
