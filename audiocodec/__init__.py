"""A neural audio codec toolkit: train, compress, stream and adapt learned codecs on ordinary machines."""

from importlib import import_module as _import_module
from importlib.metadata import PackageNotFoundError as _PackageNotFoundError
from importlib.metadata import version as _version
from typing import TYPE_CHECKING

from audiocodec.errors import AudioCodecError, BitstreamError, CheckpointError, InputError, RegistryError

if TYPE_CHECKING:
    from audiocodec.codec import Codec, EncodedAudio, load
    from audiocodec.corpus.prepare import prepare
    from audiocodec.evaluation.api import evaluate
    from audiocodec.training.api import train

__all__ = [
    "AudioCodecError",
    "BitstreamError",
    "CheckpointError",
    "Codec",
    "EncodedAudio",
    "InputError",
    "RegistryError",
    "__version__",
    "evaluate",
    "load",
    "prepare",
    "train",
]

try:
    __version__ = _version("audiocodec")
except _PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0.0.0"

# Imported when first used: torch takes seconds, and not every use of the package needs it.
_LAZY = {
    "Codec": "audiocodec.codec",
    "EncodedAudio": "audiocodec.codec",
    "evaluate": "audiocodec.evaluation.api",
    "load": "audiocodec.codec",
    "prepare": "audiocodec.corpus.prepare",
    "train": "audiocodec.training.api",
}


def __getattr__(name: str) -> object:
    """Import what needs torch when it is asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module 'audiocodec' has no attribute {name!r}")
    return getattr(_import_module(_LAZY[name]), name)
