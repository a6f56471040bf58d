import numpy as np
import pytest

from audiocodec.roundtrip import roundtrip, score, summarize


def test_a_round_trip_is_that_of_compress_and_decompress(codec, voice):
    wav = voice(1.5, channels=2)
    decoded, row = roundtrip(codec, wav, 16000, codec.bitrates[1], ("si_sdr",))
    data = codec.compress(wav, 16000, codec.bitrates[1])
    np.testing.assert_array_equal(decoded, codec.decompress(data)[0])
    assert (row["bytes"], row["bitrate"]) == (len(data), 8 * len(data) / 1.5)
    assert row["si_sdr"] == score(wav, decoded, 16000, ("si_sdr",))["si_sdr"]
    assert row["encode_rtf"] > 0


def test_scores_are_means_over_channels_or_none_with_a_reason(voice):
    wav = voice(1.0, channels=2)
    estimate = np.stack([wav[0], 0.5 * wav[1] + 0.1])
    both = score(wav, estimate, 16000, ("si_sdr", "stoi"))
    each = [score(wav[i : i + 1], estimate[i : i + 1], 16000, ("stoi",))["stoi"] for i in range(2)]
    assert both["stoi"] == pytest.approx(np.mean(each))
    silent = score(0 * wav, wav, 16000, ("pesq_wb",))
    assert silent["pesq_wb"] is None
    assert silent["errors"].keys() == {"pesq_wb"}


def test_missing_scores_are_left_out_of_means():
    fact = {"seconds": 2.0, "nominal_bitrate": 600.0, "bitrate": 700.0, "encode_rtf": 0.1, "decode_rtf": 0.1}
    rows = [
        {"file": "a", "num_quantizers": 2, **fact, "stoi": 0.8},
        {"file": "b", "num_quantizers": 2, **fact, "stoi": None},
        {"file": "a", "num_quantizers": 4, **fact, "nominal_bitrate": 1200.0, "stoi": 0.9},
    ]
    summary = summarize(rows, 1, ("stoi",), ("stoi", "pesq_wb"))
    assert (summary["stoi"], summary["scored"], summary["files"]) == (pytest.approx(0.85), 2, 2)
    assert (summary["failed"], summary["nominal_bitrate"], summary["imitated"]) == (1, None, ["stoi"])
    assert [(part["num_quantizers"], part["stoi"]) for part in summary["by_bitrate"]] == [(2, 0.8), (4, 0.9)]
