"""Packets that another system lost before the speech reaches the codec."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from audiocodec.audio.concealment import Concealer
from audiocodec.effects.base import Effect, Floats, Params, Range, Samples, bounds, check_range, draw_range
from audiocodec.errors import ConfigError

if TYPE_CHECKING:
    from numpy.random import Generator

    from audiocodec.effects.sources import Sources


@dataclass(frozen=True)
class PacketLoss(Effect):
    """Loses packets in bursts (E. N. Gilbert, Capacity of a burst-noise channel, BSTJ 39, 1960).

    The channel is good or bad; while it is bad, it loses every packet. The probabilities of a change between
    the two follow from the loss and the mean length of a burst.

    Attributes:
        loss: range of the expected share of packets that is lost, 0 to 0.9.
        burst: range of the mean number of packets lost in a row, from 1.
        fill: what replaces a lost packet: "zero", silence; "repeat", the packet before at half the
            amplitude; "conceal", repeated pitch periods as in ITU-T G.711 Appendix I.
        packet_ms: length of a packet.
    """

    kind: Literal["packet_loss"] = field(default="packet_loss", kw_only=True)
    loss: Range = (0.02, 0.2)
    burst: Range = (1.0, 3.0)
    fill: Literal["zero", "repeat", "conceal"] = "zero"
    packet_ms: float = 20.0

    def _check(self) -> None:
        check_range("loss", self.loss, 0.0, 0.9)
        check_range("burst", self.burst, 1.0, 1000.0)
        check_range("packet_ms", self.packet_ms, 1.0, 200.0)
        highest, shortest = bounds(self.loss)[1], bounds(self.burst)[0]
        if highest > shortest / (shortest + 1):
            raise ConfigError(
                f"loss {highest:g} is impossible with bursts of {shortest:g}: give a loss of at most"
                f" {shortest / (shortest + 1):.2f}, or longer bursts"
            )

    def draw(
        self, rng: Generator, length: int, sample_rate: int, sources: Sources, speaker: str = ""
    ) -> Params:
        """Draw `loss`, `burst` and, in `lost`, the numbers of the packets that are lost."""
        loss, burst = draw_range(rng, self.loss), draw_range(rng, self.burst)
        count = -(-length // self._packet_length(sample_rate))
        steps = rng.random(count)
        to_bad, to_good = loss / (1 - loss) / burst, 1 / burst
        lost: list[int] = []
        bad = bool(rng.random() < loss)
        for number in range(count):
            if bad:
                lost.append(number)
            bad = bool(steps[number] >= to_good) if bad else bool(steps[number] < to_bad)
        return {"loss": loss, "burst": burst, "lost": lost}

    def _apply(self, wav: Samples, sample_rate: int, params: Params, sources: Sources) -> Floats:
        size = self._packet_length(sample_rate)
        lost = set(params["lost"])
        packets = [wav[start : start + size] for start in range(0, len(wav), size)]
        if self.fill == "conceal":
            concealer = Concealer(sample_rate, 1)
            return np.concatenate(
                [
                    concealer.lost(len(packet))[0] if number in lost else concealer.good(packet[None])[0]
                    for number, packet in enumerate(packets)
                ]
            )
        out: list[Samples] = []
        before = np.zeros(size, np.float32)
        for number, packet in enumerate(packets):
            if number in lost:
                packet = before[: len(packet)] * np.float32(0.5 if self.fill == "repeat" else 0.0)
            out.append(packet)
            before = packet
        return np.concatenate(out)

    def _packet_length(self, sample_rate: int) -> int:
        return round(self.packet_ms / 1000 * sample_rate)
