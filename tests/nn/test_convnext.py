import pytest
import torch

from audiocodec.nn.convnext import INITIAL_GATE, ConvNeXtBlock


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("kernel_size", [1, 2, 7])
@pytest.mark.parametrize("dilation", [1, 3])
def test_streaming_and_causality(check_streaming, check_causality, kernel_size, dilation):
    block = ConvNeXtBlock(8, kernel_size, dilation=dilation)
    torch.nn.init.ones_(block.gate)  # nearly closed, it would hide what is inside
    x = torch.randn(2, 8, 19)
    check_causality(block, x)
    check_streaming(block, x)


def test_starts_close_to_the_identity():
    x = torch.randn(4, 64, 50)
    block = ConvNeXtBlock(64)
    with torch.no_grad():
        change = (block(x) - x).std()
    assert 0 < float(change) < 2 * INITIAL_GATE


@pytest.mark.parametrize(("channels", "kernel_size", "expansion"), [(384, 7, 3.0), (10, 3, 2.5)])
def test_size(channels, kernel_size, expansion):
    hidden = int(channels * expansion)
    depthwise, norm, gate = channels * (kernel_size + 1), 2 * channels, channels
    per_frame = channels * hidden + hidden + hidden * channels + channels
    assert count(ConvNeXtBlock(channels, kernel_size, expansion)) == depthwise + norm + gate + per_frame
