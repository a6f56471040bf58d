from pathlib import PurePath

import pytest

from audiocodec.errors import InputError
from audiocodec.training.data.patterns import path_pattern


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
