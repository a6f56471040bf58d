"""Speech that another codec coded before: a phone line, a call over the internet, a compressed file."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import soundfile
from scipy.signal import correlate, correlation_lags

from audiocodec import audio
from audiocodec.effects.base import Effect, Floats, Params, Range, Samples, bounds, check_range, draw_one
from audiocodec.errors import ConfigError, InputError, MissingPackageError, require

if TYPE_CHECKING:
    from numpy.random import Generator

    from audiocodec.effects.sources import Sources

Codec = Literal["mp3", "opus", "aac", "amr_nb", "g722", "gsm", "mulaw", "alaw"]
MAX_DELAY_SECONDS = 0.12
"""Of encoder and decoder together, padding of the file included."""


@dataclass(frozen=True)
class _Format:
    """How to code with one codec: by libsndfile (`container` empty), or by FFmpeg through PyAV.

    Attributes:
        encoder: name of the encoder in FFmpeg, or subtype of a WAV file.
        container: file format in FFmpeg.
        samples: sample format of the encoder.
        rates: sample rates of the codec in Hz, ascending.
        bitrates: default range of bit rates, bit/s; None for a codec with one bit rate.
        ladder: all bit rates of the codec; empty: any bit rate is possible.
        options: of the encoder.
    """

    encoder: str
    container: str = ""
    samples: str = "s16"
    rates: tuple[int, ...] = (8000,)
    bitrates: tuple[float, float] | None = None
    ladder: tuple[int, ...] = ()
    options: tuple[tuple[str, str], ...] = ()


_MP3_LADDER = tuple(1000 * k for k in (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160))
_AMR_LADDER = (4750, 5150, 5900, 6700, 7400, 7950, 10200, 12200)
_OPUS_OPTIONS = (("compression_level", "5"),)  # complexity of calls; the highest takes twice as long
FORMATS: dict[str, _Format] = {
    "mp3": _Format("libmp3lame", "mp3", "fltp", (16000, 24000, 32000, 48000), (24e3, 96e3), _MP3_LADDER),
    "opus": _Format(
        "libopus", "ogg", "flt", (8000, 12000, 16000, 24000, 48000), (8e3, 32e3), options=_OPUS_OPTIONS
    ),
    "aac": _Format("aac", "adts", "fltp", (16000, 24000, 32000, 48000), (16e3, 64e3)),
    "amr_nb": _Format("libopencore_amrnb", "amr", "s16", (8000,), (4750.0, 12200.0), _AMR_LADDER),
    "g722": _Format("adpcm_g722", "wav", "s16", (16000,)),
    "gsm": _Format("GSM610"),
    "mulaw": _Format("ULAW"),
    "alaw": _Format("ALAW"),
}


@dataclass(frozen=True)
class Tandem(Effect):
    """Encodes and decodes by another codec; the result is aligned with the input by cross-correlation.

    GSM 06.10 full rate and G.711 (mulaw, alaw) come with libsndfile; MP3 (LAME), Opus, AAC, AMR-NB and G.722
    need PyAV. Narrow-band codecs narrow the band. Samples are equal on two machines that have equal versions
    of these libraries.

    Attributes:
        codecs: to draw from.
        bitrate: range in bit/s, drawn uniformly in octaves and rounded to a bit rate of the codec; None: the
            usual range of the codec; ignored by gsm, mulaw, alaw and g722, which have one bit rate.
    """

    kind: Literal["tandem"] = field(default="tandem", kw_only=True)
    codecs: tuple[Codec, ...] = ("mp3", "opus", "gsm")
    bitrate: Range | None = None

    def _check(self) -> None:
        if not self.codecs:
            raise ConfigError(f"codecs is empty; name one of {', '.join(FORMATS)}")
        if self.bitrate is not None:
            check_range("bitrate", self.bitrate, 4000.0, 512_000.0)

    def draw(
        self, rng: Generator, length: int, sample_rate: int, sources: Sources, speaker: str = ""
    ) -> Params:
        """Draw `codec` and `bitrate`, None where the codec has only one."""
        share = rng.random()
        codec = draw_one(rng, self.codecs)
        form = FORMATS[codec]
        if form.bitrates is None:
            return {"codec": codec, "bitrate": None}
        low, high = bounds(self.bitrate or form.bitrates)
        bitrate = low * (high / low) ** share
        nearest = min(form.ladder, key=lambda step: abs(step - bitrate)) if form.ladder else round(bitrate)
        return {"codec": codec, "bitrate": nearest}

    def _apply(self, wav: Samples, sample_rate: int, params: Params, sources: Sources) -> Floats:
        form = FORMATS[params["codec"]]
        rate = next((rate for rate in form.rates if rate >= sample_rate), form.rates[-1])
        sent = np.clip(audio.resample(wav[None], sample_rate, rate)[0], -1.0, 1.0)
        if form.container:
            decoded, rate = _through_ffmpeg(params["codec"], form, sent, rate, params["bitrate"])
        else:
            decoded, rate = _through_sndfile(form, sent, rate)
        decoded = audio.resample(decoded[None], rate, sample_rate)[0]
        return align(decoded, wav, round(MAX_DELAY_SECONDS * sample_rate))


def align(decoded: Samples, wav: Samples, max_delay: int) -> Samples:
    """Shift `decoded` [L'] by up to `max_delay` samples where it correlates best with wav [L]: [L]."""
    correlation = np.asarray(correlate(decoded, wav, method="fft"))
    delays = np.asarray(correlation_lags(len(decoded), len(wav)))
    near = np.abs(delays) <= max_delay
    delay = int(delays[near][np.argmax(correlation[near])]) if np.any(correlation) else 0
    out = np.zeros(len(wav), np.float32)
    part = decoded[max(0, delay) : max(0, delay + len(wav))]
    start = max(0, -delay)
    part = part[: len(wav) - start]
    out[start : start + len(part)] = part
    return out


def _through_sndfile(form: _Format, wav: Samples, rate: int) -> tuple[Samples, int]:
    file = io.BytesIO()
    soundfile.write(file, wav, rate, format="WAV", subtype=form.encoder)
    file.seek(0)
    decoded, rate = soundfile.read(file, dtype="float32")
    return np.asarray(decoded, np.float32), rate


def _through_ffmpeg(
    codec: str, form: _Format, wav: Samples, rate: int, bitrate: int | None
) -> tuple[Samples, int]:
    av = _import_av(codec, form)
    samples = np.ascontiguousarray(wav[None])
    if form.samples == "s16":
        samples = np.rint(samples * 32767).astype(np.int16)
    file = io.BytesIO()
    with av.open(file, "w", format=form.container) as container:
        stream = container.add_stream(
            form.encoder, rate=rate, layout="mono", format=form.samples, options=dict(form.options)
        )
        if bitrate is not None:
            stream.bit_rate = bitrate
        frame = av.AudioFrame.from_ndarray(samples, format=form.samples, layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        for part in (frame, None):
            container.mux(stream.encode(part))
    file.seek(0)
    with av.open(file) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    if not frames:
        raise InputError(f"{codec} gave no sound for {len(wav) / rate:.3f} s; give more")
    decoded = np.concatenate(frames, axis=1)[0]
    return (decoded / np.float32(32768) if decoded.dtype == np.int16 else decoded).astype(np.float32), rate


def _import_av(codec: str, form: _Format) -> Any:
    av = require(
        "av", f"coding by {codec}", "'audiocodec[peers]'", "gsm, mulaw and alaw need no other package"
    )
    try:
        av.codec.Codec(form.encoder, "w")
    except ValueError as error:
        raise MissingPackageError(
            f"this build of PyAV has no encoder {form.encoder} for {codec}: leave {codec} out of `codecs`, or"
            " install another build (pip install --upgrade av)"
        ) from error
    return av
