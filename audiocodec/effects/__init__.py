"""What happens to speech before a codec hears it: one effect a file, for training and evaluation alike."""

from audiocodec.effects.base import Drawn, Effect, Range
from audiocodec.effects.build import EFFECTS, Chain, build_chain, build_effect
from audiocodec.effects.environments import (
    Environment,
    Scene,
    check_environments,
    pick_environment,
    read_environments,
)
from audiocodec.effects.sources import Sources

__all__ = [
    "EFFECTS",
    "Chain",
    "Drawn",
    "Effect",
    "Environment",
    "Range",
    "Scene",
    "Sources",
    "build_chain",
    "build_effect",
    "check_environments",
    "pick_environment",
    "read_environments",
]
