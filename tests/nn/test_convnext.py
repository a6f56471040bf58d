import pytest
import torch

from audiocodec.nn.convnext import INITIAL_GATE, ConvNeXtBlock, gelu_and_slope


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("kernel_size", [1, 2, 7])
def test_streaming_and_causality(check_streaming, check_causality, kernel_size):
    block = ConvNeXtBlock(8, kernel_size, 3.0)
    torch.nn.init.ones_(block.gate)  # nearly closed, it would hide what is inside
    x = torch.randn(2, 8, 19)
    check_causality(block, x)
    check_streaming(block, x)


def test_starts_close_to_the_identity():
    x = torch.randn(4, 64, 50)
    block = ConvNeXtBlock(64, 7, 3.0)
    with torch.no_grad():
        change = (block(x) - x).std()
    assert 0 < float(change) < 2 * INITIAL_GATE


@pytest.mark.parametrize(("channels", "kernel_size", "expansion"), [(384, 7, 3.0), (10, 3, 2.5)])
def test_size(channels, kernel_size, expansion):
    hidden = int(channels * expansion)
    depthwise, norm, gate = channels * (kernel_size + 1), 2 * channels, channels
    per_frame = channels * hidden + hidden + hidden * channels + channels
    assert count(ConvNeXtBlock(channels, kernel_size, expansion)) == depthwise + norm + gate + per_frame


@pytest.fixture(name="block")
def _block():
    block = ConvNeXtBlock(16, 5, 3.0)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return block


def found(block, x, by_hand, monkeypatch):
    """Output, and the gradients of the input and of all parameters."""
    x = x.clone().requires_grad_()
    block.zero_grad()
    with monkeypatch.context() as patch:
        if not by_hand:
            patch.setattr(ConvNeXtBlock, "_learns_on_cpu", lambda self, x: False)
        y = block(x)
    (y * torch.linspace(-1, 2, y.shape[-1], dtype=y.dtype)).sum().backward()
    return {"y": y.detach(), "x": x.grad, **{name: p.grad for name, p in block.named_parameters()}}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_agrees_with_the_plain_form(block, dtype, monkeypatch):
    block.to(dtype)
    x = torch.randn(3, 16, 19, dtype=dtype)
    mine, plain = (found(block, x, by_hand, monkeypatch) for by_hand in (True, False))
    tolerance = 1e-11 if dtype == torch.float64 else 1e-4
    for name, value in plain.items():
        torch.testing.assert_close(mine[name], value, rtol=tolerance, atol=tolerance, msg=name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rounds_no_more_than_the_plain_form(block, dtype, monkeypatch):
    x = torch.randn(3, 16, 19, dtype=dtype)
    exact = found(block, x.float(), False, monkeypatch)
    with torch.autocast("cpu", torch.bfloat16):
        mine, plain = (found(block, x, by_hand, monkeypatch) for by_hand in (True, False))
    for name, value in exact.items():
        assert mine[name].dtype == plain[name].dtype, name
        error, usual = ((other[name].float() - value).norm() / value.norm() for other in (mine, plain))
        assert error < 1.5 * usual + 2e-3, name


def test_what_is_frozen_gets_no_gradient(block, monkeypatch):
    for name, parameter in block.named_parameters():
        parameter.requires_grad_(name in ("norm.bias", "expand.weight"))
    x = torch.randn(3, 16, 19)
    mine, plain = (found(block, x, by_hand, monkeypatch) for by_hand in (True, False))
    assert [n for n, value in mine.items() if value is None] == [n for n, v in plain.items() if v is None]
    for name in ("x", "norm.bias", "expand.weight"):
        torch.testing.assert_close(mine[name], plain[name], rtol=1e-4, atol=1e-4)


def test_nothing_changes_where_nothing_learns(block, monkeypatch):
    x = torch.randn(3, 16, 19)
    monkeypatch.setattr("audiocodec.nn.convnext.train_block", None)
    with torch.no_grad():
        without = block(x)
    block.requires_grad_(False)
    torch.testing.assert_close(block(x), without, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(7, 3), (1, 1), (0, 3)])
def test_gelu_and_slope(shape):
    x = (4 * torch.randn(shape, dtype=torch.float64)).requires_grad_()
    plain = torch.nn.functional.gelu(x, approximate="tanh")
    value, slope = gelu_and_slope(x.detach())
    torch.testing.assert_close(value, plain.detach())
    torch.testing.assert_close(slope, torch.autograd.grad(plain.sum(), x)[0])


def test_gelu_in_parts(monkeypatch):
    monkeypatch.setattr("audiocodec.nn.convnext.CHUNK_ELEMENTS", 10)
    test_gelu_and_slope((7, 3))
