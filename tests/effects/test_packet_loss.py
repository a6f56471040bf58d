import numpy as np
import pytest

from audiocodec.effects import Sources, build_effect

RATE = 16000


@pytest.mark.parametrize(("loss", "burst"), [(0.05, 1.0), (0.1, 3.0), (0.3, 2.0)])
def test_share_and_bursts_are_those_of_the_channel(loss, burst):
    effect = build_effect({"kind": "packet_loss", "loss": loss, "burst": burst})
    drawn = effect.draw(np.random.default_rng(0), 320 * 40_000, RATE, Sources())
    lost = np.zeros(40_002, int)
    lost[np.array(drawn["lost"]) + 1] = 1
    starts = np.count_nonzero(np.diff(lost) == 1)
    assert lost.mean() == pytest.approx(loss, rel=0.08)
    assert lost.sum() / starts == pytest.approx(burst, rel=0.08)


@pytest.mark.parametrize("fill", ["zero", "repeat", "conceal"])
def test_fill(speech, fill):
    effect = build_effect({"kind": "packet_loss", "fill": fill})
    out = effect.apply(speech, RATE, {"lost": [10, 11, 30]}, Sources())
    packets, heard = speech.reshape(-1, 320), out.reshape(-1, 320)
    received = [n for n in range(100) if n not in (10, 11, 30, 12, 31)]
    np.testing.assert_array_equal(heard[received], packets[received])
    if fill == "zero":
        assert not heard[[10, 11, 30]].any()
    elif fill == "repeat":
        np.testing.assert_array_equal(heard[10], packets[9] * np.float32(0.5))
        np.testing.assert_array_equal(heard[11], packets[9] * np.float32(0.25))
    else:
        assert heard[10].any()


def test_a_last_packet_may_be_short(speech):
    effect = build_effect({"kind": "packet_loss", "fill": "repeat"})
    out = effect.apply(speech[:700], RATE, {"lost": [2]}, Sources())
    np.testing.assert_array_equal(out[640:], speech[320:380] * np.float32(0.5))
