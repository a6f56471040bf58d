"""The `.nac` container: the two classes that write and read it; the format is FORMAT.md."""

from audiocodec.bitstream.reader import ContainerReader
from audiocodec.bitstream.writer import ContainerWriter

__all__ = ["ContainerReader", "ContainerWriter"]
