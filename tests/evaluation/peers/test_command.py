import math
import pickle
import sys

import numpy as np
import pytest

from audiocodec.errors import InputError, PeerError, PeerUnavailable
from audiocodec.evaluation.peers import PeerOptions
from audiocodec.evaluation.peers.command import CommandPeer

OPTIONS = PeerOptions(timeout_seconds=30)


def test_audio_comes_back_and_bits_are_read(program, speech):
    program("codec", 'cp "$1" "$2"; echo "bits 4321 kbps $3"')
    peer = pickle.loads(pickle.dumps(CommandPeer("mine", "codec {in} {out} {kbps}", OPTIONS)))
    coded = peer.roundtrip(speech, 16000, 3000)
    np.testing.assert_allclose(coded.wav, speech, atol=2e-5)
    assert (coded.bits, coded.nominal) == (4321, False)
    assert coded.encode_seconds > 0
    assert math.isnan(coded.decode_seconds)


@pytest.mark.parametrize("line", ["bits=77", "bits: 77", "  bits 77 kbps 3", "noise\nbits=1\nbits=77"])
def test_ways_to_say_the_bits(line, program, speech):
    program("codec", f"cp $1 $2; printf '{line}\\n'")
    assert CommandPeer("mine", "codec {in} {out}", OPTIONS).roundtrip(speech, 16000, 3000).bits == 77


def test_size_of_the_coded_file(program, speech):
    program("codec", 'cp "$1" "$3"; head -c 1000 /dev/zero > "$2"')
    coded = CommandPeer("mine", "codec {in} {coded} {out}", OPTIONS).roundtrip(speech, 16000, 3000)
    assert (coded.bits, coded.nominal) == (8000, False)


def test_else_the_bits_are_nominal(program, speech):
    program("codec", 'cp "$1" "$2"; echo "$3 $4" >&2; test "$3 $4" = "2.4 --rate=2400"')
    command = "codec {in} {out} {kbps} --rate={bps}"
    coded = CommandPeer("mine", command, OPTIONS).roundtrip(speech, 16000, 2400)
    assert (coded.bits, coded.nominal) == (4800, True)


def test_other_rate_and_a_delay(program, speech, tmp_path):
    script = tmp_path / "late codec.py"
    script.write_text(
        "import sys, soundfile, numpy as np\n"
        "wav, rate = soundfile.read(sys.argv[1])\n"
        "soundfile.write(sys.argv[2], np.r_[np.zeros(1234), np.repeat(wav, 2)], 2 * rate)\n"
    )
    peer = CommandPeer("mine", f"{sys.executable} '{script}' {{in}} {{out}}", OPTIONS)
    coded = peer.roundtrip(speech, 16000, 3000)
    assert np.corrcoef(coded.wav[:30000], speech[:30000])[0, 1] > 0.95


def test_no_shell(program, speech, tmp_path):
    program("codec", 'cp "$1" "$2"; echo "bits=$#"')
    peer = CommandPeer("mine", f"codec {{in}} {{out}} ; touch {tmp_path}/bad", OPTIONS)
    assert peer.roundtrip(speech, 16000, 3000).bits == 5
    assert not (tmp_path / "bad").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("exit 0", "mine ended well but wrote no output"),
        ("echo out of memory >&2; exit 9", "status 9: out of memory"),
        ('echo nonsense > "$2"', "cannot be used"),
        ("sleep 60", "did not end within"),
    ],
)
def test_programs_that_fail(text, words, program, speech):
    program("codec", text)
    peer = CommandPeer("mine", "codec {in} {out}", PeerOptions(timeout_seconds=0.5))
    with pytest.raises(PeerError, match=words):
        peer.roundtrip(speech, 16000, 3000)


def test_an_empty_coded_file(program, speech):
    program("codec", 'cp "$1" "$2"; : > "$3"')
    with pytest.raises(PeerError, match="left the coded file empty"):
        CommandPeer("mine", "codec {in} {out} {coded}", OPTIONS).roundtrip(speech, 16000, 3000)


@pytest.mark.parametrize("command", ["codec {in}", "codec {in} {out} {bandwidth}", "", "codec '{in} {out}"])
def test_commands_that_cannot_be_one(command):
    with pytest.raises(InputError, match="mine"):
        CommandPeer("mine", command, OPTIONS)


def test_no_such_program():
    with pytest.raises(PeerUnavailable, match="needs the program no-such-codec"):
        CommandPeer("mine", "no-such-codec {in} {out}", OPTIONS)
