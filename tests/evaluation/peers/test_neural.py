import math
import pickle

import numpy as np
import pytest

from audiocodec.errors import BitrateError, PeerUnavailable
from audiocodec.evaluation.peers import PeerOptions
from audiocodec.evaluation.peers.neural import DacPeer, EncodecPeer, MimiPeer, _model

# The library warns of its own and torch's affairs as it is imported.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")

ENCODEC = dict(num_filters=4, hidden_size=16, codebook_size=64, codebook_dim=16, num_lstm_layers=1,
               target_bandwidths=[1.5, 3.0], upsampling_ratios=[8, 5, 4, 2])  # fmt: skip
DAC = dict(encoder_hidden_size=8, decoder_hidden_size=64, n_codebooks=3, codebook_size=32, codebook_dim=4,
           downsampling_ratios=[2, 4, 5, 8], upsampling_ratios=[8, 5, 4, 2], sampling_rate=16000)  # fmt: skip
MIMI = dict(num_filters=4, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=2, head_dim=16, codebook_size=64, codebook_dim=16, num_quantizers=4,
            upsample_groups=32, vector_quantization_hidden_dimension=16)  # fmt: skip
CASES = {
    "encodec": (EncodecPeer, "Encodec", ENCODEC, 24000, 320, (1500.0, 3000.0)),
    "dac": (DacPeer, "Dac", DAC, 16000, 320, (250.0, 500.0, 750.0)),
    "mimi": (MimiPeer, "Mimi", MIMI, 24000, 1920, (75.0, 150.0, 225.0, 300.0)),
}


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    """A peer with small random weights on disk, and the model itself."""
    kind, family, config, rate, hop, ladder = CASES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**config)
    model = getattr(transformers, f"{family}Model")(config).eval()
    model.save_pretrained(folder)
    peer = kind(PeerOptions(folders={request.param: folder}))
    yield pickle.loads(pickle.dumps(peer)), model, rate, hop, ladder
    _model.cache_clear()


def test_rates_come_from_the_configuration(case):
    peer, _, rate, hop, ladder = case
    assert (peer.sample_rate, peer.hop_length) == (rate, hop)
    assert peer.ladder == pytest.approx(ladder)
    with pytest.raises(BitrateError, match="choose from"):
        peer.code(np.zeros(16000, np.float32), 16000, 99999)


def test_audio_is_what_the_model_itself_gives(case, speech):
    peer, model, rate, hop, ladder = case
    wav = speech[:16000]
    wav = wav[: len(wav) // hop * hop]
    coded = peer.code(wav, rate, ladder[-1])
    with torch.inference_mode():
        expected = model(torch.from_numpy(wav)[None, None], **options(peer, ladder[-1])).audio_values
    expected = expected.reshape(-1).numpy()[: len(wav)]
    np.testing.assert_allclose(coded.wav[: len(expected)], expected, atol=1e-5)
    assert not coded.wav[len(expected) :].any()
    assert np.abs(coded.wav).max() > 0


def options(peer, bitrate):
    if peer.name == "encodec":
        return {"bandwidth": bitrate / 1000}
    count = peer.ladder.index(bitrate) + 1
    return {"n_quantizers": count} if peer.name == "dac" else {"num_quantizers": count}


def test_bits_are_those_of_the_codes(case, speech):
    peer, _, rate, hop, ladder = case
    wav = speech[:20000]
    frames = math.ceil(math.ceil(20000 * rate / 16000) / hop)
    bits = [peer.code(wav, 16000, bitrate).payload_bits for bitrate in ladder]
    if peer.name == "encodec":  # 75 frames a second; 1.5 kbit/s are three stages of 6 bits, 3 are six
        assert bits == [frames * 6 * 3, frames * 6 * 6]
    else:
        one = 5 if peer.name == "dac" else 6
        assert bits == [frames * one * count for count in range(1, len(ladder) + 1)]


def test_length_and_rate_of_the_input_come_back(case, speech):
    peer, _, _, _, ladder = case
    coded = peer.code(np.repeat(speech, 3)[:30001], 48000, ladder[0])
    assert coded.wav.shape == (30001,)
    assert coded.wav.dtype == np.float32


def test_no_weights(tmp_path):
    with pytest.raises(PeerUnavailable, match=r"no EncodecModel in .*--peer-model encodec=DIR"):
        EncodecPeer(PeerOptions(folders={"encodec": tmp_path}))


def test_weights_of_another_model(tmp_path):
    transformers.DacConfig(**DAC).save_pretrained(tmp_path)
    with pytest.raises(PeerUnavailable, match="no EncodecModel in"):
        EncodecPeer(PeerOptions(folders={"encodec": tmp_path}))


def test_encodec_for_two_channels(tmp_path):
    transformers.EncodecConfig(audio_channels=2).save_pretrained(tmp_path)
    with pytest.raises(PeerUnavailable, match="one-channel"):
        EncodecPeer(PeerOptions(folders={"encodec": tmp_path}))


def test_weights_that_are_damaged(tmp_path, speech):
    transformers.DacConfig(**DAC).save_pretrained(tmp_path)
    peer = DacPeer(PeerOptions(folders={"dac": tmp_path}))
    with pytest.raises(PeerUnavailable, match="cannot be read"):
        peer.code(speech, 16000, 250)


def test_package_missing(monkeypatch):
    monkeypatch.setattr("audiocodec.evaluation.peers.neural.find_spec", lambda name: None)
    with pytest.raises(PeerUnavailable, match=r"pip install 'audiocodec\[transformers\]'"):
        MimiPeer(PeerOptions())
