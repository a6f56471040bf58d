import numpy as np
import pytest
import soundfile

from audiocodec.adaptation.refresh.sound import SoundClip, SoundClips, divide, read_sound
from audiocodec.errors import InputError


def write(path, seconds, rate=16000, channels=1, seed=0, level=0.1):
    rng = np.random.default_rng(seed)
    soundfile.write(path, level * rng.standard_normal((round(seconds * rate), channels)), rate)
    return path


def test_files_become_pieces_of_at_most_eight_seconds_at_the_models_rate(tmp_path):
    files = [write(tmp_path / "a.wav", 20), write(tmp_path / "b.wav", 3, rate=8000, channels=2, seed=1)]
    sound = read_sound(files, 16000)
    assert [round(clip.seconds, 2) for clip in sound.clips] == [6.67, 6.67, 6.67, 3.0, 3.0]
    assert len({clip.name for clip in sound.clips}) == 5
    whole = np.concatenate([clip.wav for clip in sound.clips[:3]])
    assert np.allclose(whole, soundfile.read(files[0])[0], atol=1e-4)


def test_what_cannot_be_used_is_named_with_the_reason(tmp_path):
    silent = write(tmp_path / "silent.wav", 5, level=0)
    short = write(tmp_path / "short.wav", 0.5)
    (tmp_path / "broken.wav").write_bytes(b"RIFF nonsense")
    files = [silent, short, tmp_path / "broken.wav", tmp_path / "gone.wav", write(tmp_path / "good.wav", 2)]
    sound = read_sound(files, 16000)
    assert [clip.file for clip in sound.clips] == [str(tmp_path / "good.wav")]
    assert "silent" in sound.skipped[str(silent)]
    assert "shorter than 1 s" in sound.skipped[str(short)]
    assert "not a sound file" in sound.skipped[str(tmp_path / "broken.wav")]
    assert "no such file" in sound.skipped[str(tmp_path / "gone.wav")]


def test_of_too_much_sound_every_file_gives_the_same_share(tmp_path):
    files = [write(tmp_path / f"{n}.wav", 40, rate=8000, seed=n) for n in range(3)]
    sound = read_sound(files, 8000, limit_seconds=60)
    assert sound.seconds == pytest.approx(60, abs=8)
    assert {clip.file for clip in sound.clips} == {str(file) for file in files}


def test_the_fingerprint_is_of_the_sound_alone(tmp_path):
    files = [write(tmp_path / f"{n}.wav", 2, seed=n) for n in range(3)]
    first = read_sound(files, 16000).fingerprint
    files[0].rename(tmp_path / "z.wav")
    assert read_sound([tmp_path / "z.wav", files[2], files[1]], 16000).fingerprint == first
    write(tmp_path / "z.wav", 2, seed=9)
    assert read_sound([tmp_path / "z.wav", *files[1:]], 16000).fingerprint != first


def clips(files, each):
    wav = np.ones(16000, np.float32)
    return SoundClips(
        tuple(SoundClip(f"{f}-{k}", f"file{f}", wav, 16000) for f in range(files) for k in range(each)), {}
    )


def test_whole_files_are_held_out():
    fitted, judged = divide(clips(10, 3))
    assert {clip.file for clip in fitted.clips}.isdisjoint(clip.file for clip in judged.clips)
    assert len(judged.clips) == 9
    assert len(fitted.clips) + len(judged.clips) == 30
    again = divide(clips(10, 3))[1]
    assert [c.name for c in again.clips] == [c.name for c in judged.clips]
    assert {c.file for c in divide(clips(10, 3), seed=1)[1].clips} != {c.file for c in judged.clips}


def test_of_one_long_recording_the_end_is_held_out():
    fitted, judged = divide(clips(1, 20))
    assert [clip.name for clip in judged.clips] == [f"0-{k}" for k in range(14, 20)]
    assert len(fitted.clips) == 14


def test_too_little_says_how_much_is_needed():
    with pytest.raises(InputError, match=r"11 pieces, at least 12.*96 s that are not silent"):
        divide(clips(11, 1))
