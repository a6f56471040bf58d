"""Effects on the input of a codec (noise, rooms, filters, other codecs), for training and evaluation."""

from audiocodec.effects.base import Effect, Params, Range
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
    "Effect",
    "Environment",
    "Params",
    "Range",
    "Scene",
    "Sources",
    "build_chain",
    "build_effect",
    "check_environments",
    "pick_environment",
    "read_environments",
]
