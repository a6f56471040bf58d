"""A neural audio codec toolkit: train, compress, stream and adapt learned codecs on ordinary machines."""

from importlib.metadata import version as _version

__all__ = ["__version__"]

__version__ = _version("audiocodec")
