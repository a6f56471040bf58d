"""The names by which recipes and conditions ask for an effect."""

from audiocodec.effects.base import Effect
from audiocodec.effects.gain import Gain

EFFECTS: dict[str, type[Effect]] = {
    "gain": Gain,
}
AnyEffect = Gain
"""The same as a type: what a configuration field that holds an effect may be."""
