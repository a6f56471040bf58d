"""Every exception the package raises on purpose; each says what was given, what is allowed and what to do.

AudioCodecError
├── ConfigError (ValueError)          a recipe or model configuration is wrong
├── InputError (ValueError)           audio, codes or arguments cannot be used
│   ├── BitrateError                  not a step of the model's ladder
│   └── SampleRateError               a rate outside what is supported
├── BitstreamError (ValueError)       a compressed file cannot be read
│   ├── NotAContainer                 another kind of file
│   ├── UnsupportedVersion            written by a newer format version
│   ├── Truncated (EOFError)          ends too early
│   └── ChecksumMismatch              bytes were changed
├── CheckpointError                   a model file is damaged or does not fit
├── RegistryError                     a model or codebook is unknown
├── MetricError                       a score cannot be computed for this audio
├── PeerError                         another codec failed on this audio
│   └── PeerUnavailable               another codec cannot be run here at all
└── MissingPackageError (ImportError) an optional package is not installed
"""

import errno
from importlib import import_module
from typing import Any

INTERNAL = "internal error: "
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class AudioCodecError(Exception):
    """Anything this package raises on purpose, so one `except` catches it all."""


class ConfigError(AudioCodecError, ValueError):
    """A configuration names an unknown key, has a wrong type or contradicts itself."""


class InputError(AudioCodecError, ValueError):
    """Audio, codes or an argument cannot be used as given."""


class BitrateError(InputError):
    """A bitrate the model does not offer; the message lists the ladder."""


class SampleRateError(InputError):
    """A sample rate outside the supported range."""


class BitstreamError(AudioCodecError, ValueError):
    """A compressed file or packet cannot be read; names packet and seconds when it concerns one."""

    packet: int | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None


class NotAContainer(BitstreamError):  # noqa: N818  the name says what the file is, as callers ask it
    """The bytes do not start like one of our files."""


class UnsupportedVersion(BitstreamError):  # noqa: N818
    """The file was written in a format version this package does not know."""


class Truncated(BitstreamError, EOFError):  # noqa: N818
    """The file ends before its content does."""


class ChecksumMismatch(BitstreamError):  # noqa: N818
    """Stored and computed checksums differ: bytes were changed after writing."""


class CheckpointError(AudioCodecError):
    """A model folder or weight file is missing, damaged or does not fit its configuration."""


class RegistryError(AudioCodecError):
    """A model or codebook is not known, or does not match what the index promises."""


class MetricError(AudioCodecError):
    """A score cannot be computed for this audio; never replaced by a made-up value."""


class PeerError(AudioCodecError):
    """Another codec crashed, hung, or gave back something that is not the audio it was asked for."""


class PeerUnavailable(PeerError):  # noqa: N818  a state of the machine, reported as a reason
    """Another codec cannot be run on this machine; the message says what to install."""


class MissingPackageError(AudioCodecError, ImportError):
    """An optional package is needed; the message names the extra to install."""


def explain(error: Exception) -> str:
    """One line on what went wrong: in our own words, or the system's where a file, disk or device failed.

    Any other exception is a bug of ours, and said to be an internal error.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, AudioCodecError):
        return text
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f"{error.filename}: "
        full = error.errno in DISK_FULL or "temporary directory" in error.strerror
        mend = "; free some space, or set TMPDIR to a folder that has some" if full else ""
        return " ".join(f"{where}{error.strerror}{mend}".split())
    return f"{INTERNAL}{type(error).__name__}: {text}"


def require(module: str, what: str, install: str, instead: str = "") -> Any:
    """Import a module that may not be there.

    `what` needs it, `install` is what pip takes, `instead` says what can be done without.

    Raises:
        MissingPackageError: it is not installed, or something it needs is not.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        how = f"pip install {install}" + (f"; {instead}" if instead else "")
        raise MissingPackageError(f"{what} needs {package} ({error}): {how}") from error
