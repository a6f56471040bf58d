import importlib.util
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

REPOSITORY = Path(__file__).parents[3]
SPEECH = REPOSITORY / "tests" / "data"
HEAD = "path,split,kind,source,speaker,language,seconds,licence"


@pytest.fixture(scope="module")
def tool():
    path = REPOSITORY / "tools" / "release" / "listening_page.py"
    spec = importlib.util.spec_from_file_location("listening_page", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """A corpus of two speakers, one of them said to speak German, and a noise shorter than they."""
    folder = tmp_path_factory.mktemp("corpus")
    noise = 0.02 * np.random.default_rng(0).standard_normal(32000)
    soundfile.write(folder / "noise_rain_1.flac", noise, 16000)
    lines = [
        f"{SPEECH}/ls_1688_000.flac,test,speech,librispeech,1688,en,5.06,CC-BY-4.0",
        f"{SPEECH}/ls_2033_000.flac,train,speech,librispeech,2033,en,6.94,CC-BY-4.0",
        f"{SPEECH}/ls_2033_001.flac,test,speech,other,2033,de,4.46,Public-Domain",
        "noise_rain_1.flac,test,noise,rainy,noise_rain,,2.0,CC0-1.0(per card)",
    ]
    (folder / "README.md").write_text("| source | origin |  |\n| librispeech, other | books, <read> | CC |\n")
    (folder / "manifest.csv").write_text("\n".join([HEAD, *lines]))
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def made(tool, manifest, tiny_folder, tmp_path_factory):
    """The folder of a page, made over an older one."""
    folder = tmp_path_factory.mktemp("docs") / "listen"
    (folder / "sounds").mkdir(parents=True)
    (folder / "sounds" / "old.flac").touch()
    arguments = ["--model", str(tiny_folder), "--data", str(manifest), "-o", str(folder)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [
            "make", *arguments, "--peers", "lyra", "--scores", "stoi,si_sdr", "--imitated", "stoi",
        ])  # fmt: skip
        tool.main()
    return folder


def test_page_has_every_file_and_nothing_from_elsewhere(made):
    page = (made / "index.html").read_text()
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    local = [address for address in addresses if "://" not in address]
    written = {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()}
    assert set(local) == written - {"index.html"}
    assert len(local) == 3 * 2 * 2  # three recordings, original and one step of the ladder
    outside = {address for address in addresses if "://" in address}
    assert outside == {
        "https://creativecommons.org/licenses/by/4.0/",
        "https://creativecommons.org/publicdomain/zero/1.0/",
    }
    assert "url(" not in page
    assert "@import" not in page
    for name in ("ls_1688_000.flac", "ls_2033_001.flac", "noise_rain_1.flac"):
        assert name in page
    assert "ls_2033_000" not in page  # of another split


def test_page_says_what_people_have_to_know(made, tiny_folder):
    page = (made / "index.html").read_text()
    assert "books, &lt;read&gt;" in page
    assert "Lyra v2 is left out" in page
    assert "imitates STOI, so there" in page
    assert re.search(r"<dt>STOI</dt><dd>0\.\d{3}\*</dd>", page)
    assert not re.search(r"<dt>SI-SDR</dt><dd>[^<]*\*", page)
    assert "in noise (rain, 10 dB)" in page
    assert f"--model {'/'.join(tiny_folder.parts[-2:])} --peers lyra" in page
    assert str(tiny_folder.parent) not in page


def test_sounds_keep_their_level(made):
    original, rate = soundfile.read(SPEECH / "ls_1688_000.flac")
    heard, heard_rate = soundfile.read(made / "sounds" / "1-ls_1688_000-original.flac")
    assert rate == heard_rate == 16000
    np.testing.assert_array_equal(heard, original)
    lengths = {soundfile.info(path).frames for path in (made / "sounds").glob("1-*.flac")}
    assert lengths == {len(original)}


def test_one_clip_a_speaker(tool):
    clips = [
        SimpleNamespace(speaker=speaker, seconds=seconds)
        for speaker, seconds in (("a", 9.0), ("b", 3.0), ("c", 5.0), ("c", 4.5), ("a", 6.0), ("d", 8.0))
    ]
    chosen = [(clip.speaker, clip.seconds) for clip in tool.first_of_speakers(clips)]
    assert chosen == [("a", 6.0), ("c", 5.0), ("d", 8.0)]
