import numpy as np

from audiocodec import audio
from audiocodec.adaptation.watch import Monitor, MonitoredStream, MonitorOptions, monitor_file

OPTIONS = MonitorOptions(window_seconds=2.0, false_alarm_rate=0.02, sequential="none")


def test_packets_are_the_same_and_padding_is_not_counted(codec, voice, baseline):
    wav = voice(5.3, 24000)
    plain = codec.stream_encoder(24000)
    expected = b"".join([*plain.push(wav), *plain.flush()])
    monitor = Monitor(codec, baseline, options=OPTIONS)
    watched = MonitoredStream(codec, monitor, 24000)
    packets = [packet for block in np.array_split(wav, 9, axis=1) for packet in watched.push(block)]
    assert b"".join([*packets, *watched.flush()]) == expected
    assert len(watched.reports) == 2
    frames = codec.encode(wav, 24000).codes.shape[2]
    assert monitor.seconds * codec.model.frame_rate == frames


def test_sound_files_and_nac_files_have_the_same_codes(codec, voice, baseline, tmp_path):
    audio.write(tmp_path / "a.wav", voice(4.5), 16000)
    codec.compress_file(tmp_path / "a.wav", tmp_path / "a.nac")
    reports = {
        name: list(monitor_file(codec, Monitor(codec, baseline, options=OPTIONS), tmp_path / name))
        for name in ("a.wav", "a.nac")
    }
    assert [len(found) for found in reports.values()] == [2, 2]
    for sound, coded in zip(reports["a.wav"], reports["a.nac"], strict=True):
        assert not sound.silent
        assert sound.measures["js"] == coded.measures["js"]
        assert sound.sources[-1].endswith("a.wav")
