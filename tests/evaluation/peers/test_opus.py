import pickle
import sys

import numpy as np
import pytest

from audiocodec.errors import BitrateError, InputError, PeerUnavailable
from audiocodec.evaluation.peers import PeerOptions
from audiocodec.evaluation.peers.base import correlations
from audiocodec.evaluation.peers.opus import OpusPeer, _encode
from audiocodec.metrics import stoi

pytest.importorskip("av")


@pytest.fixture(scope="module")
def peer():
    return pickle.loads(pickle.dumps(OpusPeer(PeerOptions())))


@pytest.mark.parametrize(("bitrate", "least"), [(9000, 0.85), (24000, 0.95)])
def test_bits_quality_and_place(peer, speech, bitrate, least):
    coded = peer.code(speech, 16000, bitrate)
    assert coded.wav.shape == speech.shape
    assert coded.payload_bits / 2 == pytest.approx(bitrate, rel=0.15)
    assert stoi(speech, coded.wav, 16000) > least
    delays, values = correlations(speech, coded.wav, 400)
    assert abs(delays[values.argmax()]) <= 1  # pre-skip removed, cross-checked
    assert not coded.nominal_bits


def test_band_is_narrow_at_6_and_wide_at_9_kbit(speech):
    # RFC 6716, table 2: configurations 0 to 3 are narrow band, 8 to 11 wide band.
    configurations = [{packet[0] >> 3 for packet in _encode(speech, rate)[0]} for rate in (6000, 9000)]
    assert configurations == [{1}, {9}]


def test_every_packet_is_counted_once(peer, speech):
    packets, header = _encode(np.pad(speech, (0, 320)), 12000)
    assert header.startswith(b"OpusHead")
    assert peer.code(speech, 16000, 12000).payload_bits == 8 * sum(len(packet) for packet in packets[:100])


def test_rates_and_lengths(peer, speech):
    assert peer.code(np.repeat(speech, 3)[:50001], 48000, 12000).wav.shape == (50001,)
    assert peer.code(speech[:100], 16000, 12000).wav.shape == (100,)
    with pytest.raises(BitrateError, match="500 to 256000"):
        peer.code(speech, 16000, 100)
    with pytest.raises(InputError, match="one channel"):
        peer.code(speech[None], 16000, 12000)


def test_package_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr("audiocodec.evaluation.peers.opus.find_spec", lambda name: None)
    with pytest.raises(PeerUnavailable, match=r"pip install 'audiocodec\[peers\]'"):
        OpusPeer(PeerOptions())
