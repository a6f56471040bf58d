"""The names by which recipes and conditions ask for an effect."""

from audiocodec.effects.babble import Babble
from audiocodec.effects.bandlimit import BandLimit
from audiocodec.effects.clipping import Clipping
from audiocodec.effects.colored_noise import ColoredNoise
from audiocodec.effects.gain import Gain
from audiocodec.effects.microphone import Microphone
from audiocodec.effects.noise import Noise
from audiocodec.effects.packet_loss import PacketLoss
from audiocodec.effects.room import Room
from audiocodec.effects.tandem import Tandem

AnyEffect = (
    Babble | BandLimit | Clipping | ColoredNoise | Gain | Microphone | Noise | PacketLoss | Room | Tandem
)
"""Any of them as a type: what a configuration field that holds an effect may be."""

EFFECTS: dict[str, type[AnyEffect]] = {
    "babble": Babble,
    "bandlimit": BandLimit,
    "clipping": Clipping,
    "colored_noise": ColoredNoise,
    "gain": Gain,
    "microphone": Microphone,
    "noise": Noise,
    "packet_loss": PacketLoss,
    "room": Room,
    "tandem": Tandem,
}
