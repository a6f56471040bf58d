"""Samples to latents and to packets of codes, and back, with the state of one stream.

The model always runs over packets of one shape, because matrix products round differently for other shapes:
equal audio must give equal codes whether it comes from a file, from memory or in blocks of any size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiocodec.audio import Resampler
from audiocodec.audio.concealment import Concealer
from audiocodec.audio.samples import as_channels
from audiocodec.devices import device_of, undisturbed
from audiocodec.errors import InputError
from audiocodec.nn.film import NO_SWITCH
from audiocodec.nn.streaming import StreamState

if TYPE_CHECKING:
    from audiocodec.bitstream import Header
    from audiocodec.model import CodecModel
    from audiocodec.nn.film import Switch

LONGEST_SECONDS = 2.0
"""Longest part decoded at once: a file may claim packets of many minutes, which would take gigabytes."""
CHANNEL_SECONDS = 16.0
"""The same limit, summed over channels: a file may claim 255 of them."""

Codes = NDArray[np.int64]
Samples = NDArray[np.float32]
Listener = Callable[[Tensor, Tensor], None]


def frames_for(model: CodecModel | Header, length: int) -> int:
    """Frames of codes for `length` samples at the model's rate, those that bring out the delay included."""
    return -(-(length + model.delay) // model.hop_length) if length else 0


def packet_frames(model: CodecModel) -> int:
    """Frames in a packet of about a second."""
    return max(1, round(model.frame_rate))


class LatentEncoder:
    """Encodes one recording to latents: push samples [C, L] at any rate, get the encoder's output.

    Each packet is latents [C, D, packet_frames] and the number of frames of it that belong to the recording:
    all of them but in the last, which is filled up with silence.
    """

    def __init__(
        self, model: CodecModel, sample_rate: int, channels: int, packet_frames: int, denoise: bool = False
    ) -> None:
        self._model, self._sample_rate, self._channels = model, sample_rate, channels
        self._resampler = Resampler(sample_rate, model.sample_rate, channels)
        self._state = StreamState()
        self._packet_frames = packet_frames
        self._packet_length = packet_frames * model.hop_length
        self._waiting: list[Samples] = []
        self._waiting_length = 0
        self._coded_frames = 0
        self._model_length = 0
        self._schedule = DenoiseSchedule(model.can_denoise)
        self.length = 0
        """Samples pushed so far."""
        self.denoise = denoise

    @property
    def denoise(self) -> bool:
        """The denoising switch, for samples that are pushed from now on.

        A frame takes what was set when its first sample was pushed. To switch it on is an InputError for
        models without a switch.
        """
        return self._schedule.on

    @denoise.setter
    def denoise(self, on: bool) -> None:
        per_frame = self._model.hop_length * self._sample_rate
        self._schedule.set(on, -(-self.length * self._model.sample_rate // per_frame))

    def push(self, block: Samples) -> list[tuple[Tensor, int]]:
        """Take samples [C, L], any number of them; give the packets that are full now."""
        self.length += block.shape[1]
        return self._queue(self._resampler.push(block))

    def flush(self) -> list[tuple[Tensor, int]]:
        """End the recording: give what is left."""
        packets = self._queue(self._resampler.flush())
        while (missing := frames_for(self._model, self._model_length) - self._coded_frames) > 0:
            silence = np.zeros((self._channels, self._packet_length - self._waiting_length), np.float32)
            self._add(silence)
            latents, count = self._encode(self._take()[0])
            packets.append((latents, min(missing, count)))
        return packets

    def _queue(self, samples: Samples) -> list[tuple[Tensor, int]]:
        self._model_length += samples.shape[1]
        self._add(samples)
        return [self._encode(packet) for packet in self._take()]

    def _add(self, samples: Samples) -> None:
        if samples.shape[1]:
            self._waiting.append(samples)
            self._waiting_length += samples.shape[1]

    def _take(self) -> list[Samples]:
        """Full packets [C, packet_length] out of what is waiting."""
        count = self._waiting_length // self._packet_length
        if not count:
            return []
        samples = np.concatenate(self._waiting, axis=1)
        used = count * self._packet_length
        # A copy, so that one short rest does not keep a long recording in memory.
        self._waiting, self._waiting_length = [samples[:, used:].copy()], samples.shape[1] - used
        return np.split(samples[:, :used], count, axis=1)

    def _encode(self, samples: Samples) -> tuple[Tensor, int]:
        device = device_of(self._model)
        with torch.inference_mode(), undisturbed(device):
            wav = torch.from_numpy(np.ascontiguousarray(samples)).to(device)
            on = self._schedule.take(self._packet_frames)
            if isinstance(on, Tensor):
                on = on.to(device).expand(len(wav), -1)
            switch = {} if on is False else {"denoise": on}  # encoders need not know of switches
            latents = self._model.encoder(wav[:, None], self._state, **switch)
        self._coded_frames += self._packet_frames
        return latents, self._packet_frames


class DenoiseSchedule:
    """The denoising switch over the frames of one stream: set for frames to come, taken packet by packet."""

    def __init__(self, allowed: bool) -> None:
        """Start off; `allowed` says whether it may be on."""
        self.on, self._allowed = False, allowed
        self._changes: list[tuple[int, bool]] = []
        self._before, self._start = False, 0

    def set(self, on: bool, frame: int) -> None:
        """Turn it on or off from `frame` on, which is not before the frame of the last change.

        Raises:
            InputError: it may not be on.
        """
        if on and not self._allowed:
            raise InputError(NO_SWITCH)
        if on != self.on:
            self.on = on
            self._changes = [change for change in self._changes if change[0] < frame] + [(frame, on)]

    def take(self, count: int) -> Switch:
        """The switch in the next `count` frames: one value, or [1, count] where it changes."""
        frames = torch.full((1, count), self._before)
        for start, on in self._changes:
            frames[:, max(0, start - self._start) :] = on
        self._start += count
        self._before = bool(frames[0, -1])
        self._changes = [change for change in self._changes if change[0] >= self._start]
        return self._before if bool((frames == self._before).all()) else frames


@torch.inference_mode()
def encode_latents(model: CodecModel, wav: Any, sample_rate: int, denoise: bool = False) -> Tensor:
    """The encoder's output [C, D, T] for samples [L] or [C, L] of any rate, exactly as coding computes it.

    Raises:
        InputError: the samples cannot be used, or there are none; SampleRateError likewise.
    """
    samples = as_channels(wav, sample_rate)
    if not samples.shape[1]:
        raise InputError("there are no samples; give at least 1")
    encoder = LatentEncoder(model, sample_rate, samples.shape[0], packet_frames(model), denoise)
    packets = encoder.push(samples) + encoder.flush()
    return torch.cat([latents[..., :count] for latents, count in packets], dim=2)


class PacketEncoder:
    """Encodes one recording: push samples [C, L], get codes [C, N, T] of whole packets.

    The last packet is as short as can be.
    """

    def __init__(
        self, model: CodecModel, header: Header, denoise: bool = False, listener: Listener | None = None
    ) -> None:
        """`header` gives rates, channels, number of quantizers and size of a packet.

        `listener` is called with the latents [C, D, T] and codes [C, N, T] of each packet.
        """
        self._quantizer, self._num_quantizers, self._listener = (
            model.quantizer,
            header.num_quantizers,
            listener,
        )
        self._encoder = LatentEncoder(
            model, header.sample_rate, header.channels, header.packet_frames, denoise
        )

    @property
    def length(self) -> int:
        """Samples pushed so far."""
        return self._encoder.length

    @property
    def denoise(self) -> bool:
        """As `LatentEncoder.denoise`; may be set."""
        return self._encoder.denoise

    @denoise.setter
    def denoise(self, on: bool) -> None:
        self._encoder.denoise = on

    def push(self, block: Samples) -> list[Codes]:
        """Take samples [C, L], any number of them; give the packets that are full now."""
        return [self._quantize(*packet) for packet in self._encoder.push(block)]

    def flush(self) -> list[Codes]:
        """End the recording: give what is left."""
        return [self._quantize(*packet) for packet in self._encoder.flush()]

    def packets(self, blocks: Iterable[Samples]) -> Iterator[Codes]:
        """The packets of a whole recording that comes in blocks [C, L]."""
        for block in blocks:
            yield from self.push(block)
        yield from self.flush()

    def _quantize(self, latents: Tensor, count: int) -> Codes:
        with torch.inference_mode(), undisturbed(latents.device):
            # The whole packet, so that products have one shape, and frames share codes, up to the end.
            codes = self._quantizer.encode(latents, self._num_quantizers)[..., :count]
            if self._listener is not None:
                self._listener(latents[..., :count], codes)
            return codes.cpu().numpy()


class PacketDecoder:
    """Decodes one recording: push packets in order, None for a lost one, get samples [C, L]."""

    def __init__(
        self,
        model: CodecModel,
        header: Header,
        skip: int | None = None,
        length: int | None = None,
        packet: int = 0,
    ) -> None:
        """Drop the first `skip` samples at the model's rate (None: its delay); stop after `length`, if known.

        The first packet that is pushed is number `packet` of the recording.
        """
        self._model, self._header = model, header
        self._resampler = Resampler(model.sample_rate, header.sample_rate, header.channels)
        self._state = StreamState()
        self._skip = model.delay if skip is None else skip
        self._concealer = Concealer(model.sample_rate, header.channels)
        seconds = min(LONGEST_SECONDS, CHANNEL_SECONDS / header.channels)
        self._block_frames = max(1, round(seconds * model.frame_rate))
        model.skip(self._state, header.channels, packet * header.packet_frames)
        self._returned = 0
        self.length = length
        """Total number of samples to return, if known."""

    def push(self, codes: Codes | None) -> Samples:
        """Take the codes [C, n, T] of the next packet, or None where it is lost; give samples [C, L]."""
        parts = list(self.blocks(codes))
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def blocks(self, codes: Codes | None) -> Iterator[Samples]:
        """As `push`, but in blocks: a packet of many channels or minutes never fills the memory."""
        frames = self._header.packet_frames if codes is None else codes.shape[2]
        for start in range(0, frames, self._block_frames):
            count = min(self._block_frames, frames - start)
            if codes is None:
                wav = self._concealer.lost(count * self._model.hop_length)
                self._model.skip(self._state, self._header.channels, count)
            else:
                wav = self._concealer.good(self._decode(codes[..., start : start + count]))
            dropped = min(self._skip, wav.shape[1])
            self._skip -= dropped
            yield self._cut(self._resampler.push(wav[:, dropped:]))

    def flush(self) -> Samples:
        """End the recording: return the samples [C, L] that the resampler still holds."""
        return self._cut(self._resampler.flush())

    @property
    def done(self) -> bool:
        """Whether `length` samples have been returned."""
        return self.length is not None and self._returned >= self.length

    def _cut(self, samples: Samples) -> Samples:
        if self.length is not None:
            samples = samples[:, : max(0, self.length - self._returned)]
        self._returned += samples.shape[1]
        return samples

    def _decode(self, codes: Codes) -> Samples:
        device = device_of(self._model)
        with torch.inference_mode(), undisturbed(device):
            tensor = torch.from_numpy(np.ascontiguousarray(codes)).to(device)
            return self._model.decode(tensor, self._state)[:, 0].float().cpu().numpy()
