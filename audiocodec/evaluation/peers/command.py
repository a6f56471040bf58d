"""Any codec that a command line can run: "name=program {in} {out} {kbps}"."""

from __future__ import annotations

import math
import re
import tempfile
from pathlib import Path

from audiocodec.errors import InputError, PeerError
from audiocodec.evaluation.peers.alignment import find_delay, shift
from audiocodec.evaluation.peers.base import Coded, PeerOptions, Samples, check_input, check_output
from audiocodec.evaluation.peers.program import read_bytes, read_wav, run_program, split_command, write_wav

_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_KNOWN = {"in", "out", "kbps", "bps", "coded"}
_BITS = re.compile(r"^\s*bits\s*[=:\s]\s*(\d+)\b", re.MULTILINE)
_MOST_DELAY_SECONDS = 0.2


class CommandPeer:
    """A program that encodes and decodes one file; it runs in an empty folder, without a shell.

    `{in}` is a 16-bit WAV file of the input's sample rate and `{out}` the WAV file to write, of any rate;
    `{kbps}` and `{bps}` are the bitrate. The bits are those of a printed line `bits=N`, else the size of the
    file `{coded}` where the command has that, headers and all, else those asked for, marked as nominal.
    A delay of up to 0.2 s is found by correlation and removed. Only the time of both ways together is known:
    it stands as `encode_seconds`, and `decode_seconds` is NaN.
    """

    bitrates = None

    def __init__(self, name: str, command: str, options: PeerOptions) -> None:
        """Check what can be checked before running it.

        Raises:
            InputError: the command has no {in} or {out}, an unknown placeholder, or unbalanced quotes.
            PeerUnavailable: there is no such program.
        """
        found = set(_PLACEHOLDER.findall(command))
        if not {"in", "out"} <= found or found - _KNOWN:
            raise InputError(
                f"peer {name}: {command!r} needs {{in}} and {{out}}; {{kbps}}, {{bps}} and {{coded}} are free"
            )
        self.words = split_command(name, command)
        self.name = name
        self.timeout_seconds = options.timeout_seconds

    def roundtrip(self, wav: Samples, sample_rate: int, bitrate: float) -> Coded:
        """Encode and decode; see `Peer`."""
        check_input(wav, sample_rate)
        with tempfile.TemporaryDirectory(prefix="audiocodec-peer-") as name:
            folder = Path(name)
            values = {
                "in": str(folder / "in.wav"),
                "out": str(folder / "out.wav"),
                "coded": str(folder / "coded"),
                "kbps": f"{bitrate / 1000:g}",
                "bps": f"{bitrate:.0f}",
            }
            write_wav(folder / "in.wav", wav, sample_rate)
            ran = run_program(self.name, [self._fill(word, values) for word in self.words], folder,
                              self.timeout_seconds)  # fmt: skip
            most = 2 * len(wav) + sample_rate
            decoded = read_wav(self.name, folder / "out.wav", sample_rate, most)
            bits, nominal = self._bits(ran.stdout, folder, bitrate * len(wav) / sample_rate)
        delay = find_delay(wav, decoded, 0, round(_MOST_DELAY_SECONDS * sample_rate))
        aligned = check_output(self.name, shift(decoded, delay), len(wav))
        return Coded(aligned, bits, ran.seconds, math.nan, nominal)

    @staticmethod
    def _fill(word: str, values: dict[str, str]) -> str:
        return _PLACEHOLDER.sub(lambda match: values[match.group(1)], word)

    def _bits(self, stdout: str, folder: Path, asked: float) -> tuple[int, bool]:
        said = _BITS.findall(stdout)
        if said:
            return int(said[-1]), False
        if any("{coded}" in word for word in self.words):
            size = len(read_bytes(self.name, folder / "coded"))
            if not size:
                raise PeerError(f"{self.name} left the coded file empty")
            return 8 * size, False
        return round(asked), True
