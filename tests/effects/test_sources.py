import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from audiocodec.corpus import Recording
from audiocodec.effects import Sources
from audiocodec.effects.sources import TypeMap, find_sources, limit_seconds, loop, read_sources, read_types
from audiocodec.errors import ConfigError, InputError

RATE = 16000


def test_excerpts_are_the_file(sources, sound_folder):
    wav = soundfile.read(sound_folder / "noise" / "cafe.wav")[0]
    out = sources.excerpt("noise", "noise/cafe.wav", RATE, 1234, 5000)
    np.testing.assert_allclose(out, wav[1234:6234], atol=1 / 32767)
    other = sources.samples("noise", "noise/cafe.wav", 8000) / 32767
    np.testing.assert_allclose(other[500:-500], soxr.resample(wav, RATE, 8000, "VHQ")[500:-500], atol=1e-4)


def test_order_of_the_list_does_not_matter(sources):
    assert Sources(sources.recordings[::-1]).find("noise") == sources.find("noise")


def test_find(sources):
    assert sources.types("noise") == ["cafe", "made", "street"]
    assert [clip.name for clip in sources.find("noise", ("str*", "x"))] == [
        "noise/street_01.wav",
        "noise/street_02.wav",
    ]
    assert [clip.name for clip in sources.find("noise", (), ("*_02*",))] == ["noise/street_02.wav"]
    with pytest.raises(InputError, match="no recording of kind music of type rock"):
        sources.find("music", ("rock",))


def test_a_name_is_given_once(tmp_path):
    with pytest.raises(InputError, match="noise a is listed twice"):
        Sources([Recording("a", tmp_path / "a", kind="noise"), Recording("a", tmp_path / "b", kind="noise")])


def test_folders_may_hold_equal_names(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "street.wav", np.full(100, 0.1), RATE)
    found = Sources.open(folders={"noise": [tmp_path / "a", tmp_path / "b"]}).find("noise", ("street",))
    assert [clip.name for clip in found] == ["a/street.wav", "b/street.wav"]


def test_memory_is_bounded(sources):
    bounded = Sources(sources.recordings, max_bytes=250_000)  # one recording of 3 s is 96 kB
    for clip in bounded.find("speech"):
        bounded.samples("speech", clip.name, RATE)
    assert bounded.used_bytes <= 250_000
    first = bounded.find("speech")[0].name
    np.testing.assert_array_equal(
        bounded.samples("speech", first, RATE), sources.samples("speech", first, RATE)
    )


def test_it_goes_to_other_processes_without_its_samples(sources):
    sources.preload(RATE)
    data = pickle.dumps(sources)
    assert len(data) < 10_000 < sources.used_bytes
    copy = pickle.loads(data)
    assert copy.used_bytes == 0
    name = "noise/cafe.wav"
    np.testing.assert_array_equal(copy.samples("noise", name, RATE), sources.samples("noise", name, RATE))


def test_unreadable_recordings_are_left_out(tmp_path, caplog):
    soundfile.write(tmp_path / "good.wav", np.full(100, 0.5), RATE)
    soundfile.write(tmp_path / "silent.wav", np.zeros(100), RATE)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    names = ("good", "broken", "silent", "missing")
    sources = Sources([Recording(name, tmp_path / f"{name}.wav", kind="noise") for name in names])
    rng = np.random.default_rng(0)
    assert {sources.draw(rng, sources.find("noise"), RATE)[0].name for _ in range(40)} == {"good"}
    assert sorted(Path(path).stem for path in sources.unreadable) == ["broken", "missing", "silent"]
    assert len(caplog.records) == 3
    sources.unreadable.clear()  # forgotten, so that the same is drawn as at first
    assert len(sources.find("noise")) == 4
    bad = Sources([Recording("broken", tmp_path / "broken.wav", kind="noise")])
    clips = bad.find("noise")
    with pytest.raises(InputError, match="none of 1 recordings can be read"):
        bad.draw(rng, clips, RATE)
    with pytest.raises(InputError, match="no noise other among the sources"):
        sources.samples("noise", "other", RATE)


def test_preload_tells_how_far_it_is(sources):
    told = []
    sources.preload(RATE, ("noise", "music"), told.append)
    assert told == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


@pytest.mark.parametrize("start", [0, 300, 990])
def test_loop(start):
    rng = np.random.default_rng(0)
    samples = (rng.standard_normal(1000) * 3000).astype(np.int16)
    out = loop(samples, start, 5000, 100)
    assert len(out) == 5000
    until = max(0, 900 - start)
    if start >= 100 or not until:
        np.testing.assert_array_equal(out[:until], samples[start : start + until])
    np.testing.assert_allclose(out[900:1800], out[:900], rtol=1e-6)  # goes round in 1000 - 100 samples
    power = [np.mean(part**2) for part in np.split(out, 10)]
    assert max(power) < 1.5 * min(power)  # the fade keeps the power


@pytest.mark.parametrize("length", [1, 2, 3])
def test_loop_of_almost_nothing(length):
    assert np.all(loop(np.full(length, 5, np.int16), 0, 50, 800) >= 5)


def test_limit_seconds(tmp_path):
    clips = [Recording(f"{n}", tmp_path / f"{n}", kind="speech", seconds=10.0) for n in range(50)]
    kept = limit_seconds(clips, 105.0)
    assert len(kept) == 10
    assert limit_seconds(clips[::-1], 105.0) == kept
    assert len({clip.name for clip in kept}) == 10


def test_noise_whose_channels_cancel_each_other_is_left_out_for_that_reason(tmp_path):
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    soundfile.write(tmp_path / "a.wav", np.stack([noise, -noise], axis=1), RATE)
    with pytest.raises(InputError, match="cancel each other"):
        Sources.open(folders={"noise": [tmp_path]}).samples("noise", "a.wav", RATE)


COLUMNS = "path,split,kind,type,source,speaker,seconds\n"


@pytest.mark.parametrize(
    ("name", "kind", "speaker", "expected"),
    [
        ("noise/train/esc10/noise_rain_rain__3-157615-A_0.opus", "noise", "", "rain"),
        ("noise/train/esc10/noise_dog_bark_dog_bark__2.opus", "noise", "", "animals"),
        ("noise/train/x/noise_city_city_0.opus", "noise", "", "street"),
        ("street/17.wav", "noise", "", "street"),
        ("train/unheard/17.wav", "noise", "", None),  # the split is no pattern: *rain* is in train
        ("noise/train/ovos_noise/noise_household_noise-713e_0.opus", "noise", "", "household"),
        ("rir/train/chromium_ir/02636.flac", "rir", "rir_kitchen-true-stereo", "measured-small"),
        ("rir/train/any/1.flac", "rir", "", "measured"),
        ("speech/rain/a.flac", "speech", "", None),
    ],
)
def test_types_that_come_with_the_package(tmp_path, name, kind, speaker, expected):
    assert read_types().type_of(Recording(name, tmp_path / name, kind=kind, speaker=speaker)) == expected


def test_a_manifest(tmp_path):
    manifest = tmp_path / "m.csv"
    manifest.write_text(
        COLUMNS
        + "a/street.wav,train,noise,,made,,2.5\n"
        + "b.wav,train,noise,hum,made,,\n"
        + "c.wav,test,noise,,made,,1\n"
        + "d.wav,,rir,,made,,1\n"
        + "e.wav,train,speech,,made,anna,nonsense\n"
        + "f.wav,train,silence,,made,,1\n"
    )
    types = TypeMap(noise={"street": ("*street*",)}, rir={})
    found = read_sources(manifest, "train", types)
    assert [(clip.name, clip.kind, clip.type, clip.speaker, clip.seconds) for clip in found] == [
        ("a/street.wav", "noise", "street", "", 2.5),
        ("b.wav", "noise", "hum", "", 0.0),
        ("d.wav", "rir", "made", "", 1.0),  # names no split: in all
        ("e.wav", "speech", "made", "anna", 0.0),
    ]
    assert found[0].path == tmp_path / "a" / "street.wav"
    assert len(read_sources(manifest)) == 5


def test_json_lines_say_the_same(tmp_path):
    rows = [{"path": "a.wav", "kind": "noise", "type": "hum", "split": "train", "duration": 3}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    (clip,) = read_sources(tmp_path / "m.jsonl", "train")
    assert (clip.type, clip.seconds) == ("hum", 3.0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", b"path,kind\n,noise\n", "m.csv, line 2: no `path`"),
        ("m.jsonl", b'{"path": "a.wav"}\n[1]\n', "line 2: no `path`"),
        ("m.jsonl", b'{"path": 3}\n', "line 1: no `path`"),
        ("m.csv", b"path\n\xff\xfe\n", "UTF-8"),
        ("missing.csv", None, "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_sources(tmp_path / name)


def test_a_folder(sound_folder, tmp_path):
    found = {clip.name: clip.type for clip in find_sources(sound_folder / "noise", "noise")}
    assert found == {
        "street_01.wav": "street",
        "street_02.wav": "street",
        "cafe.wav": "cafe",
        "short_hum.wav": "short_hum",
    }
    assert {clip.speaker for clip in find_sources(sound_folder / "speech", "speech")} == {
        "s0",
        "s1",
        "s2",
        "s3",
    }
    (tmp_path / "metro" / "line 2").mkdir(parents=True)
    soundfile.write(tmp_path / "metro" / "line 2" / "x.wav", [0.1] * 100, 16000)
    (clip,) = find_sources(tmp_path, "noise")
    assert (clip.name, clip.type) == ("metro/line 2/x.wav", "metro")
    empty = tmp_path / "metro" / "none"
    empty.mkdir()
    with pytest.raises(InputError, match="has no file"):
        find_sources(empty, "noise")


def test_a_wrong_type_map(tmp_path):
    (tmp_path / "types.yaml").write_text("noises: {}\n")
    with pytest.raises(ConfigError, match="did you mean 'noise'"):
        read_types(tmp_path / "types.yaml")
