"""Corpora are listed as torchaudio lists them, on small folders in their published layouts."""

import re
from pathlib import Path, PurePath

import pytest
import soundfile
import torchaudio
from torchaudio.datasets import LIBRISPEECH, LIBRITTS, VCTK_092, librispeech, libritts, vctk

from audiocodec.corpus.finding import find_recordings
from audiocodec.corpus.layouts import find_corpus, path_pattern, read_corpus
from audiocodec.errors import ConfigError, InputError
from audiocodec.training.api import load_recipe

FOLDER = Path(__file__).parents[2] / "recipes" / "corpora"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def make(path, rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, [0.0, 0.1] * 100, rate)


@pytest.fixture
def libri(tmp_path):
    """LibriSpeech: SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac and a text for each chapter."""
    for subset, speaker, chapter in [
        ("train-clean-100", 103, 1240), ("train-clean-100", 103, 1241), ("train-clean-100", 1034, 121119),
        ("dev-clean", 84, 121123), ("test-other", 367, 130732),
    ]:  # fmt: skip
        folder = tmp_path / "LibriSpeech" / subset / str(speaker) / str(chapter)
        ids = [f"{speaker}-{chapter}-{n:04}" for n in range(3)]
        for name in ids:
            make(folder / f"{name}.flac")
        (folder / f"{speaker}-{chapter}.trans.txt").write_text(
            "".join(f"{name} SOME WORDS\n" for name in ids)
        )
    make(tmp_path / "LibriSpeech" / "notes.flac")
    return tmp_path


def test_librispeech_as_torchaudio_lists_it(libri):
    found = read_corpus(libri, find_corpus("librispeech"))
    assert {one.source for one in found} == {"librispeech"}
    for subset, split in [("train-clean-100", "train"), ("dev-clean", "valid"), ("test-other", "test")]:
        dataset = LIBRISPEECH(libri, subset)
        listed = [dataset.get_metadata(n) for n in range(len(dataset))]
        theirs = {(libri / "LibriSpeech" / path, str(speaker)) for path, _, _, speaker, _, _ in listed}
        assert len(theirs) in (3, 9)
        assert {(one.path, one.speaker) for one in found if one.split == split} == theirs
    assert len(found) == 15


def listed_by(dataset, monkeypatch):
    """The files a dataset would load; torchaudio's own loading needs torchcodec."""
    paths = []
    monkeypatch.setattr(torchaudio, "load", lambda path: (paths.append(Path(path)), (None, 0))[1])
    items = [dataset[n] for n in range(len(dataset))]
    return paths, items


def test_libritts_as_torchaudio_lists_it(tmp_path, monkeypatch):
    for speaker, chapter in [(103, 1240), (1034, 121119)]:
        for n in range(2):
            path = (
                tmp_path
                / "LibriTTS"
                / "dev-clean"
                / f"{speaker}/{chapter}"
                / f"{speaker}_{chapter}_0_{n}.wav"
            )
            make(path, 24000)
            path.with_suffix(".original.txt").write_text("Words.")
            path.with_suffix(".normalized.txt").write_text("Words.")
    found = find_recordings(str(tmp_path), "libritts")
    paths, items = listed_by(LIBRITTS(tmp_path, "dev-clean"), monkeypatch)
    theirs = sorted((path, str(item[4])) for path, item in zip(paths, items, strict=True))
    assert sorted((one.path, one.speaker) for one in found) == theirs
    assert {one.split for one in found} == {"valid"}


def test_vctk_as_torchaudio_lists_it(tmp_path, monkeypatch):
    root = tmp_path / "VCTK-Corpus-0.92"
    speakers = [f"p{n}" for n in range(225, 245)]
    for speaker in speakers:
        for n in (1, 2):
            for mic in ("mic1", "mic2"):
                make(root / "wav48_silence_trimmed" / speaker / f"{speaker}_{n:03}_{mic}.flac", 48000)
            (root / "txt" / speaker).mkdir(parents=True, exist_ok=True)
            (root / "txt" / speaker / f"{speaker}_{n:03}.txt").write_text("Words.")
    found = read_corpus(tmp_path, find_corpus("vctk"))
    paths, items = listed_by(VCTK_092(str(tmp_path)), monkeypatch)
    theirs = sorted((path, item[3]) for path, item in zip(paths, items, strict=True))
    assert sorted((one.path, one.speaker) for one in found) == theirs
    held = {
        split: {one.speaker for one in found if one.split == split} for split in ("train", "valid", "test")
    }
    assert all(held.values())
    assert sum(map(len, held.values())) == len(speakers)


def test_musan_names_kinds(tmp_path):
    for name in ("noise/free-sound/noise-1.wav", "music/fma/music-1.wav", "speech/librivox/speech-1.wav"):
        make(tmp_path / "musan" / name)
    found = read_corpus(tmp_path, find_corpus("musan"))
    assert {(one.kind, one.source) for one in found} == {
        ("noise", "free-sound"), ("music", "fma"), ("speech", "librivox"),
    }  # fmt: skip


def test_another_folder_says_what_is_expected(tmp_path):
    make(tmp_path / "mine" / "a.wav")
    with pytest.raises(InputError, match=r"none of 1 sound files.*wav48_silence_trimmed.*mine/a\.wav"):
        read_corpus(tmp_path, find_corpus("vctk"))
    with pytest.raises(InputError, match=r"gone: no such folder; unpack https"):
        read_corpus(tmp_path / "gone", find_corpus("vctk"))


def test_one_of_ones_own(libri, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nhomepage: h\nlicence: l\nhours: 1\nspeakers: 2\nsample_rate: 16000\n"
        'files: "{speaker}/{chapter}/*.flac"\n'
    )
    found = read_corpus(libri, find_corpus(str(tmp_path / "mine.yaml")))
    assert {one.speaker for one in found} == {"103", "1034", "84", "367"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "librispeach"}, "no such corpus.*librispeech, libritts, musan, vctk"),
        ({"files": "*.flac"}, "names nothing that is known"),
        ({"splits": "{dev: held-out}"}, "'held-out'.*train, valid, test"),
        ({"file": "x"}, "did you mean 'files'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, change, words):
    fields = {
        "name": "m", "homepage": "h", "licence": "l", "hours": 1, "speakers": 2, "sample_rate": 16000,
        "files": "'{speaker}/*.wav'",
    } | change  # fmt: skip
    (tmp_path / "m.yaml").write_text("".join(f"{key}: {value!s}\n" for key, value in fields.items()).replace(
        "files: *.flac", "files: '*.flac'"
    ))  # fmt: skip
    with pytest.raises(ConfigError, match=words):
        find_corpus("librispeach" if "name" in change else str(tmp_path / "m.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_recipes_of_corpora(name):
    corpus = find_corpus(name)
    assert corpus.name == name
    assert all(archive.url.startswith("https://") and archive.gigabytes > 0 for archive in corpus.archives)
    published = librispeech._CHECKSUMS | libritts._CHECKSUMS | vctk._CHECKSUMS
    for archive in corpus.archives:
        known = {url.replace("http:", "https:"): digest for url, digest in published.items()}
        assert archive.sha256 == known.get(archive.url, "")
    text = (FOLDER / f"{name}.yaml").read_text()
    for recipe, changes in re.findall(r"^#   audiocodec train (\S+)((?: \S+=\S+)*)$", text, re.MULTILINE):
        config = load_recipe(recipe, changes.split())
        assert config.data.corpus in ("", name)
    assert f"audiocodec prepare . --corpus {name} -o {name}.jsonl" in text


@pytest.mark.parametrize(
    ("pattern", "path", "fields"),
    [
        ("{speaker}/*.wav", "a/b/anna/1.wav", {"speaker": "anna"}),
        ("{speaker}/{chapter}/*.flac", "x/103/1240/a.flac", {"speaker": "103"}),
        ("{speaker}_{take}.wav", "anna_1_2.wav", {"speaker": "anna"}),
        ("{speaker}_*.wav", "d/p225_001_mic1.wav", {"speaker": "p225"}),
        ("{speaker}/{speaker}_*.wav", "p1/p1_3.wav", {"speaker": "p1"}),
        ("{speaker}/{speaker}_*.wav", "p1/p12_3.wav", None),
        ("{split}/**/{speaker}/*.wav", "dev/s1/1.wav", {"split": "dev", "speaker": "s1"}),
        ("{split}/**/{speaker}/*.wav", "dev/a/b/s1/1.wav", {"split": "dev", "speaker": "s1"}),
        ("{language}/{speaker}/**", "de/x/y/z.ogg", {"language": "de", "speaker": "x"}),
        ("{speaker}/?.wav", "s/12.wav", None),
        ("{speaker}/a+(b).wav", "s/a+(b).wav", {"speaker": "s"}),
        (r"(?P<speaker>p\d+)_", "wav/p225_001.wav", {"speaker": "p225"}),
        (r"^(?P<split>[^/]+)/(?:(?P<speaker>s\d)/)?", "dev/x.wav", {"split": "dev"}),
    ],
)
def test_what_paths_say(pattern, path, fields):
    assert path_pattern(pattern).fields(PurePath(path)) == fields


@pytest.mark.parametrize(
    "pattern", ["*.wav", "{spkr}/*.wav", "(?P<speaker>[a", "(?P<who>a)", "{speaker}" * 200]
)
def test_patterns_that_say_nothing(pattern):
    with pytest.raises(InputError, match="pattern"):
        path_pattern(pattern)
