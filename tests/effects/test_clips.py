import json

import pytest
import soundfile

from audiocodec.effects.clips import Clip, TypeMap, find_clips, read_clips, read_types
from audiocodec.errors import ConfigError, InputError

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
    assert read_types().type_of(Clip(name, tmp_path / name, kind, speaker=speaker)) == expected


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
    found = read_clips(manifest, ("train",), types)
    assert [(clip.name, clip.kind, clip.type, clip.speaker, clip.seconds) for clip in found] == [
        ("a/street.wav", "noise", "street", "", 2.5),
        ("b.wav", "noise", "hum", "", 0.0),
        ("d.wav", "rir", "made", "", 1.0),  # names no split: in all
        ("e.wav", "speech", "made", "anna", 0.0),
    ]
    assert found[0].path == tmp_path / "a" / "street.wav"
    assert len(read_clips(manifest)) == 5


def test_json_lines_say_the_same(tmp_path):
    rows = [{"path": "a.wav", "kind": "noise", "type": "hum", "split": "train", "duration": 3}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    (clip,) = read_clips(tmp_path / "m.jsonl", ("train",))
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
        read_clips(tmp_path / name)


def test_a_folder(sound_folder, tmp_path):
    found = {clip.name: clip.type for clip in find_clips(sound_folder / "noise", "noise")}
    assert found == {
        "street_01.wav": "street",
        "street_02.wav": "street",
        "cafe.wav": "cafe",
        "short_hum.wav": "short_hum",
    }
    assert {clip.speaker for clip in find_clips(sound_folder / "speech", "speech")} == {
        "s0",
        "s1",
        "s2",
        "s3",
    }
    (tmp_path / "metro" / "line 2").mkdir(parents=True)
    soundfile.write(tmp_path / "metro" / "line 2" / "x.wav", [0.1] * 100, 16000)
    (clip,) = find_clips(tmp_path, "noise")
    assert (clip.name, clip.type) == ("metro/line 2/x.wav", "metro")
    empty = tmp_path / "metro" / "none"
    empty.mkdir()
    with pytest.raises(InputError, match="has no file"):
        find_clips(empty, "noise")


def test_a_wrong_type_map(tmp_path):
    (tmp_path / "types.yaml").write_text("noises: {}\n")
    with pytest.raises(ConfigError, match="did you mean 'noise'"):
        read_types(tmp_path / "types.yaml")
