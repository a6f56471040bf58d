import sys

import pytest
import soundfile

from audiocodec.errors import BitrateError, InputError, PeerUnavailable
from audiocodec.evaluation import coders
from audiocodec.evaluation.coders import ModelCoder, PeerCoder
from audiocodec.evaluation.conditions import Condition, Grid, expand
from audiocodec.evaluation.peers.base import PeerOptions
from audiocodec.evaluation.plan import DEFAULT_METRICS, open_coders, plan
from audiocodec.evaluation.recordings import as_recordings, open_sources
from audiocodec.metrics import METRICS


class Peer:
    name = "fine"
    bitrates = None


def test_peers_that_are_not_there_are_told_with_the_reason(monkeypatch):
    def open_peer(spec, options):
        if spec == "gone":
            raise PeerUnavailable("install it")
        return Peer()

    monkeypatch.setattr(coders, "open_peer", open_peer)
    able, missing = open_coders([PeerCoder("gone"), PeerCoder("fine")])
    assert [coder.name for coder in able] == ["fine"]
    assert missing == {"gone": "install it"}
    with pytest.raises(InputError, match="fine is given twice"):
        open_coders([PeerCoder("fine"), PeerCoder("fine")])


def test_two_models_of_one_name_are_told_apart(codec):
    able, _ = open_coders([ModelCoder(codec), ModelCoder(codec)])
    assert able[0].name == "tiny"
    assert able[1].name.startswith("tiny (")


def test_a_model_keeps_to_its_ladder(codec, setup_with, speech_folder):
    recordings = as_recordings(sorted(speech_folder.rglob("*.wav")))
    setup = setup_with(ModelCoder(codec))
    with pytest.raises(BitrateError, match="tiny: bitrate 7 bit/s is not offered"):
        plan(setup, recordings, [Condition("clean")], [7.0])
    assert plan(setup, recordings, [Condition("clean")]).units[0].work == ((0, 1500.0),)


def test_what_makes_no_run(setup_with, double, speech_folder):
    recordings = as_recordings([speech_folder / "alice" / "a.wav"])
    with pytest.raises(InputError, match="no recordings to evaluate"):
        plan(setup_with(double()), [], [Condition("clean")], [1.0])
    with pytest.raises(InputError, match=r"a\.wav is listed twice"):
        plan(setup_with(double()), recordings * 2, [Condition("clean")], [1.0])
    with pytest.raises(InputError, match="no codec to evaluate"):
        plan(setup_with(), recordings, [Condition("clean")], [1.0])


def test_a_file_that_is_gone_still_has_a_row(setup_with, double, tmp_path):
    benchmark = plan(setup_with(double()), as_recordings([tmp_path / "x.wav"]), [Condition("clean")], [1.0])
    assert len(benchmark) == 1


def keys(setup, speech_folder, condition):
    recordings = as_recordings(sorted(speech_folder.rglob("*.wav")))
    return set(plan(setup, recordings, [condition], [1000.0]).keys.values())


def rewrite(path):
    """The same size, other samples."""
    wav, rate = soundfile.read(path)
    size = path.stat().st_size
    soundfile.write(path, 0.5 * wav, rate)
    assert path.stat().st_size == size


def test_rows_with_noise_written_anew_are_not_taken(setup_with, double, speech_folder, noise_folder):
    sources = open_sources(None, folders=[("noise", noise_folder)])
    noisy = expand("hum", Grid({}, ({"kind": "noise", "types": ["hum"], "snr_db": 5.0},)), {})[0]
    setup = setup_with(double(), sources=sources)
    before = [keys(setup, speech_folder, condition) for condition in (Condition("clean"), noisy)]
    rewrite(noise_folder / "hum" / "1.wav")
    after = [keys(setup, speech_folder, condition) for condition in (Condition("clean"), noisy)]
    assert before[0] == after[0]
    assert not before[1] & after[1]


def test_rows_of_a_command_written_anew_are_not_taken(setup_with, speech_folder, tmp_path):
    script = tmp_path / "codec.py"
    script.write_text("pass")
    peer = PeerCoder(f"mine='{sys.executable}' '{script}' {{in}} {{out}}")
    before = keys(setup_with(peer), speech_folder, Condition("clean"))
    assert keys(setup_with(peer), speech_folder, Condition("clean")) == before
    script.write_text("exit")
    assert not keys(setup_with(peer), speech_folder, Condition("clean")) & before


def test_rows_of_weights_written_anew_are_not_taken(setup_with, speech_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(coders, "open_peer", lambda spec, options: Peer())
    (tmp_path / "model.safetensors").write_bytes(b"1234")
    peer = PeerCoder("fine", PeerOptions({"fine": tmp_path}))
    before = keys(setup_with(peer), speech_folder, Condition("clean"))
    (tmp_path / "model.safetensors").write_bytes(b"4321")
    assert not keys(setup_with(peer), speech_folder, Condition("clean")) & before


def test_metrics_known_here_are_known_there():
    assert set(DEFAULT_METRICS) <= set(METRICS)
