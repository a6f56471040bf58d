"""Reads, writes and resamples sound files in blocks of bounded size; all samples are float32 [C, L]."""

from audiocodec.audio.files import AUDIO_SUFFIXES, as_file, find_audio, stamp
from audiocodec.audio.reading import MPEG, AudioInfo, blocks, blocks_of_bytes, info, read
from audiocodec.audio.resampling import Resampler, resample
from audiocodec.audio.samples import check_sample_rate, check_samples, mono
from audiocodec.audio.writing import BlockWriter, write

__all__ = [
    "AUDIO_SUFFIXES",
    "MPEG",
    "AudioInfo",
    "BlockWriter",
    "Resampler",
    "as_file",
    "blocks",
    "blocks_of_bytes",
    "check_sample_rate",
    "check_samples",
    "find_audio",
    "info",
    "mono",
    "read",
    "resample",
    "stamp",
    "write",
]
