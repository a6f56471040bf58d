"""Codes to bytes and back: the `.nac` container and its entropy coders, in numpy alone."""

from audiocodec.bitstream.container import ContainerReader, ContainerWriter
from audiocodec.bitstream.entropy import CODERS, Coder, PlainCoder
from audiocodec.bitstream.header import Extension, Header

__all__ = ["CODERS", "Coder", "ContainerReader", "ContainerWriter", "Extension", "Header", "PlainCoder"]
