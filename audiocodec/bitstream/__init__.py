"""Codes to bytes and back: the `.nac` container and its entropy coders, in numpy alone."""

from audiocodec.bitstream.entropy import CODERS, Coder, PlainCoder
from audiocodec.bitstream.header import Extension, Header
from audiocodec.bitstream.reader import ContainerReader, open_container
from audiocodec.bitstream.writer import ContainerWriter

__all__ = [
    "CODERS",
    "Coder",
    "ContainerReader",
    "ContainerWriter",
    "Extension",
    "Header",
    "PlainCoder",
    "open_container",
]
