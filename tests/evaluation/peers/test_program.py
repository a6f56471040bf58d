import math
import os
import pickle
import sys
import time

import numpy as np
import pytest
import soundfile

from audiocodec.errors import InputError, PeerError, PeerUnavailable
from audiocodec.evaluation.peers import PeerOptions
from audiocodec.evaluation.peers.program import (
    CommandPeer,
    read_wav,
    require_programs,
    run_program,
    write_wav,
)

SOUND = (np.random.default_rng(0).standard_normal(8000) * 0.1).astype(np.float32)


def test_what_a_program_printed_and_the_time_it_took(tmp_path):
    ran = run_program(
        "x", ["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; pwd"], tmp_path, 30
    )
    assert ran.stdout.strip() == os.path.realpath(tmp_path)
    assert ran.seconds > 0


def test_a_failure_has_the_end_of_its_words(tmp_path):
    with pytest.raises(PeerError, match="x: sh ended with status 3: no such mode"):
        run_program("x", ["sh", "-c", "echo no such mode >&2; exit 3"], tmp_path, 30)
    with pytest.raises(PeerError, match="status 1: it printed nothing"):
        run_program("x", ["false"], tmp_path, 30)
    with pytest.raises(PeerError, match="cannot be started"):
        run_program("x", ["/no/such/program"], tmp_path, 30)


def test_a_hanging_program_ends_with_all_it_started(tmp_path):
    with pytest.raises(PeerError, match=r"did not end within 0\.3 s"):
        run_program("x", ["sh", "-c", "sleep 60 & echo $! > child; wait"], tmp_path, 0.3)
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        if not alive(child):
            return
        time.sleep(0.05)
    pytest.fail("the child is still there")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"  # nobody may have asked for its status yet
    except OSError:
        return False


def test_no_shell_and_no_input(tmp_path):
    assert run_program("x", ["echo", "$HOME; ls"], tmp_path, 30).stdout == "$HOME; ls\n"
    assert run_program("x", ["cat"], tmp_path, 30).stdout == ""


def test_missing_programs():
    require_programs("x", ["sh"], "dash")
    with pytest.raises(
        PeerUnavailable, match="x needs the program no-such-program: apt-get install some-package"
    ):
        require_programs("x", ["sh", "no-such-program"], "some-package")


def test_output_is_mixed_and_resampled(tmp_path):
    smooth = np.sin(np.arange(8000) / 20).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", np.stack([smooth, np.zeros_like(smooth)], axis=1), 8000)
    wav = read_wav("x", tmp_path / "a.wav", 16000, 20000)
    assert wav.shape == (16000,)
    np.testing.assert_allclose(wav[200:-200:2], smooth[100:-100] / 2, atol=1e-3)


def test_input_is_16_bit(tmp_path):
    write_wav(tmp_path / "in.wav", SOUND * 20, 16000)
    assert soundfile.info(tmp_path / "in.wav").subtype == "PCM_16"
    np.testing.assert_allclose(
        read_wav("x", tmp_path / "in.wav", 16000, 8000), np.clip(SOUND * 20, -1, 1), atol=4e-5
    )


def test_output_that_is_no_sound(tmp_path):
    path = tmp_path / "out.wav"
    with pytest.raises(PeerError, match="wrote no output"):
        read_wav("x", path, 16000, 8000)
    path.write_bytes(b"nonsense")
    with pytest.raises(PeerError, match="cannot be used"):
        read_wav("x", path, 16000, 8000)
    path.unlink()
    write_wav(path, SOUND, 16000)
    with pytest.raises(PeerError, match="far more"):
        read_wav("x", path, 16000, 4000)
    soundfile.write(path, np.full(100, np.nan), 16000, subtype="FLOAT")
    with pytest.raises(PeerError, match="not a finite number"):
        read_wav("x", path, 16000, 4000)


OPTIONS = PeerOptions(timeout_seconds=30)


def test_audio_comes_back_and_bits_are_read(program, speech):
    program("codec", 'cp "$1" "$2"; echo "bits 4321 kbps $3"')
    peer = pickle.loads(pickle.dumps(CommandPeer("mine", "codec {in} {out} {kbps}", OPTIONS)))
    coded = peer.code(speech, 16000, 3000)
    np.testing.assert_allclose(coded.wav, speech, atol=2e-5)
    assert (coded.payload_bits, coded.nominal_bits) == (4321, False)
    assert coded.encode_seconds > 0
    assert math.isnan(coded.decode_seconds)


@pytest.mark.parametrize("line", ["bits=77", "bits: 77", "  bits 77 kbps 3", "noise\nbits=1\nbits=77"])
def test_ways_to_say_the_bits(line, program, speech):
    program("codec", f"cp $1 $2; printf '{line}\\n'")
    assert CommandPeer("mine", "codec {in} {out}", OPTIONS).code(speech, 16000, 3000).payload_bits == 77


def test_size_of_the_coded_file(program, speech):
    program("codec", 'cp "$1" "$3"; head -c 1000 /dev/zero > "$2"')
    coded = CommandPeer("mine", "codec {in} {coded} {out}", OPTIONS).code(speech, 16000, 3000)
    assert (coded.payload_bits, coded.nominal_bits) == (8000, False)


def test_else_the_bits_are_nominal(program, speech):
    program("codec", 'cp "$1" "$2"; echo "$3 $4" >&2; test "$3 $4" = "2.4 --rate=2400"')
    command = "codec {in} {out} {kbps} --rate={bps}"
    coded = CommandPeer("mine", command, OPTIONS).code(speech, 16000, 2400)
    assert (coded.payload_bits, coded.nominal_bits) == (4800, True)


def test_other_rate_and_a_delay(program, speech, tmp_path):
    script = tmp_path / "late codec.py"
    script.write_text(
        "import sys, soundfile, numpy as np\n"
        "wav, rate = soundfile.read(sys.argv[1])\n"
        "soundfile.write(sys.argv[2], np.r_[np.zeros(1234), np.repeat(wav, 2)], 2 * rate)\n"
    )
    peer = CommandPeer("mine", f"{sys.executable} '{script}' {{in}} {{out}}", OPTIONS)
    coded = peer.code(speech, 16000, 3000)
    assert np.corrcoef(coded.wav[:30000], speech[:30000])[0, 1] > 0.95


def test_no_shell(program, speech, tmp_path):
    program("codec", 'cp "$1" "$2"; echo "bits=$#"')
    peer = CommandPeer("mine", f"codec {{in}} {{out}} ; touch {tmp_path}/bad", OPTIONS)
    assert peer.code(speech, 16000, 3000).payload_bits == 5
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
        peer.code(speech, 16000, 3000)


def test_an_empty_coded_file(program, speech):
    program("codec", 'cp "$1" "$2"; : > "$3"')
    with pytest.raises(PeerError, match="left the coded file empty"):
        CommandPeer("mine", "codec {in} {out} {coded}", OPTIONS).code(speech, 16000, 3000)


@pytest.mark.parametrize("command", ["codec {in}", "codec {in} {out} {bandwidth}", "", "codec '{in} {out}"])
def test_commands_that_cannot_be_one(command):
    with pytest.raises(InputError, match="mine"):
        CommandPeer("mine", command, OPTIONS)


def test_no_such_program():
    with pytest.raises(PeerUnavailable, match="needs the program no-such-codec"):
        CommandPeer("mine", "no-such-codec {in} {out}", OPTIONS)
