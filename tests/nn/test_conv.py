from __future__ import annotations

from itertools import product

import pytest
import torch
import torch.nn.functional as F

from audiocodec.errors import ConfigError, InputError
from audiocodec.nn.conv import CausalConv1d, CausalConvTranspose1d, normalize
from audiocodec.nn.streaming import StreamState

SHAPES = [
    (kernel, stride, dilation, groups)
    for kernel, stride, dilation, groups in product((1, 3, 4, 7, 10), (1, 2, 5), (1, 3), (1, 2))
    if (kernel - 1) * dilation + 1 >= stride
]
TRANSPOSED = [shape for shape in product((1, 3, 4, 7, 10), (1, 2, 5)) if shape[0] >= shape[1]]


def test_chunks_equal_whole(subtests, check_streaming):
    for kernel, stride, dilation, groups in SHAPES:
        with subtests.test(f"kernel {kernel}, stride {stride}, dilation {dilation}, groups {groups}"):
            conv = CausalConv1d(4, 6, kernel, stride, dilation, groups)
            check_streaming(conv, torch.randn(2, 4, 14 * stride), stride)


def test_transposed_chunks_equal_whole(subtests, check_streaming):
    for kernel, stride in TRANSPOSED:
        with subtests.test(f"kernel {kernel}, stride {stride}"):
            check_streaming(CausalConvTranspose1d(4, 6, kernel, stride), torch.randn(2, 4, 14))


def test_conv_is_a_left_padded_convolution(subtests):
    for kernel, stride, dilation, groups in SHAPES:
        with subtests.test(f"kernel {kernel}, stride {stride}, dilation {dilation}, groups {groups}"):
            conv, x = CausalConv1d(4, 6, kernel, stride, dilation, groups), torch.randn(2, 4, 6 * stride)
            padded = F.pad(x, ((kernel - 1) * dilation + 1 - stride, 0))
            expected = F.conv1d(padded, conv.weight, conv.bias, stride, 0, dilation, groups)
            assert expected.shape[-1] == 6
            torch.testing.assert_close(conv(x), expected)


def test_transposed_conv_is_trimmed_on_the_right(subtests):
    for kernel, stride in TRANSPOSED:
        with subtests.test(f"kernel {kernel}, stride {stride}"):
            conv, x = CausalConvTranspose1d(4, 6, kernel, stride), torch.randn(2, 4, 6)
            untrimmed = F.conv_transpose1d(x, conv.weight, conv.bias, stride)
            torch.testing.assert_close(conv(x), untrimmed[..., : 6 * stride])


def test_transposed_conv_adds_its_bias_once(run_stream):
    conv = CausalConvTranspose1d(1, 2, 8, 2)
    torch.nn.init.zeros_(conv.weight)
    expected = conv.bias[:, None].expand(1, 2, 20)
    torch.testing.assert_close(run_stream(conv, torch.ones(1, 1, 10), (1,)), expected)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (4, 2), (10, 5)])
def test_both_are_causal(check_causality, kernel, stride):
    check_causality(CausalConv1d(2, 3, kernel, stride), torch.randn(1, 2, 6 * stride), stride, 1)
    check_causality(CausalConvTranspose1d(2, 3, kernel, stride), torch.randn(1, 2, 6), 1, stride)


def test_kernels_that_leave_gaps_are_refused():
    with pytest.raises(ConfigError, match="kernel_size of 3 or more"):
        CausalConv1d(1, 1, 2, stride=6, dilation=3)
    CausalConv1d(1, 1, 3, stride=6, dilation=3)
    with pytest.raises(ConfigError, match="kernel_size of 6 or more"):
        CausalConvTranspose1d(1, 1, 5, stride=6)


@pytest.mark.parametrize("length", [0, 5])
def test_lengths_that_are_no_multiple_of_the_stride_are_refused(length):
    state = StreamState()
    with pytest.raises(InputError, match=f"{length} samples are no positive multiple of the stride 2"):
        CausalConv1d(1, 1, 4, 2)(torch.zeros(1, 1, length), state)
    assert not state


@torch.no_grad()
@pytest.mark.parametrize(
    "conv", [CausalConv1d(2, 4, 6, 3), CausalConvTranspose1d(4, 2, 6, 3)], ids=["conv", "transposed"]
)
def test_weight_norm_starts_as_the_plain_weight(conv):
    x = torch.randn(1, conv.in_channels, 12)
    expected = conv(x)
    normalize(conv, "weight")
    torch.testing.assert_close(conv(x), expected)
    assert set(conv.state_dict()) == {
        "bias",
        "parametrizations.weight.original0",
        "parametrizations.weight.original1",
    }


def test_no_norm_leaves_the_module_alone():
    conv = CausalConv1d(1, 1, 3)
    assert normalize(conv, "none") is conv
    assert set(conv.state_dict()) == {"weight", "bias"}
