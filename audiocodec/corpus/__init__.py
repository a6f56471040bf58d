"""Recordings and where they are listed: one reader of manifests and folders, one definition of splits."""

from audiocodec.corpus.finding import find_recordings
from audiocodec.corpus.manifest import SPLITS, Recording, read_folder, read_manifest, read_recordings

__all__ = [
    "SPLITS",
    "Recording",
    "find_recordings",
    "read_folder",
    "read_manifest",
    "read_recordings",
]
