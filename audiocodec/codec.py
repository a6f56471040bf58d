"""The codec for callers: audio to codes and back, to bytes and back, in files and as streams."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from audiocodec import audio, files, pretrained
from audiocodec.audio.samples import as_array, as_channels, as_samples
from audiocodec.bitstream import ContainerReader, ContainerWriter, Header
from audiocodec.bitstream.header import MAX_NAME_BYTES, printable
from audiocodec.checkpoint import WEIGHTS_NAME, identify_codebooks, load_model, model_id, weights_file
from audiocodec.coding import PacketDecoder, PacketEncoder, packet_frames
from audiocodec.devices import device_of, resolve_device
from audiocodec.errors import InputError, RegistryError
from audiocodec.revisions import CodebookStore, Revisions
from audiocodec.storage import new_file
from audiocodec.streaming import StreamDecoder, StreamEncoder

if TYPE_CHECKING:
    from audiocodec.coding import Samples
    from audiocodec.model import CodecModel, ModelConfig


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class EncodedAudio:
    """One encoded recording, or a batch of equally long ones.

    Attributes:
        codes: [C, N, T] int64, or [B, C, N, T].
        header: as in a file: sample rates, channels, length, identities of model and codebooks.
    """

    codes: NDArray[np.int64]
    header: Header


class Codec:
    """A model that codes audio of any length, any number of channels and any sample rate from 8 to 192 kHz.

    Each channel is coded on its own. Equal audio gives equal codes on one machine, whether it comes from
    memory, from a file or as a stream. Bitrates are bit/s of one channel.
    """

    def __init__(
        self,
        model: CodecModel,
        config: ModelConfig,
        metadata: Mapping[str, str] | None = None,
        device: str | torch.device = "cpu",
        codebooks: CodebookStore | None = None,
    ) -> None:
        """Use `model` on `device`; `codebooks` holds those of other revisions."""
        self.model = model.to(device).eval()
        self.config = config
        self.metadata = dict(metadata or {})
        self.model_id = self.metadata.get("model_id") or model_id(model, config)
        self.codebook_id = self.metadata.get("codebook_id") or identify_codebooks(model.revision())
        self.revisions = Revisions(self.model, self.model_id, self.codebook_id, codebooks)

    @property
    def name(self) -> str:
        """Name of the model; written into files as a hint for people."""
        name = printable(self.metadata.get("name", ""))
        return name.encode()[:MAX_NAME_BYTES].decode(errors="ignore")

    @property
    def imitates(self) -> tuple[str, ...]:
        """Scores that losses of its training imitate, which are too good; empty where that is not known."""
        return tuple(name for name in self.metadata.get("imitates", "").split(",") if name)

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return device_of(self.model)

    @property
    def sample_rate(self) -> int:
        """Rate in Hz at which the model works; audio of other rates is resampled."""
        return self.model.sample_rate

    @property
    def bitrates(self) -> tuple[float, ...]:
        """Bitrates the model offers, bit/s of one channel."""
        return self.model.bitrates

    @property
    def packet_frames(self) -> int:
        """Frames in a packet of about a second."""
        return packet_frames(self.model)

    def encode(
        self, wav: Any, sample_rate: int, bitrate: float | None = None, *, denoise: bool = False
    ) -> EncodedAudio:
        """Encode samples [L], [C, L] or [B, C, L], numpy or torch, float in [-1, 1] or integer.

        `bitrate` None is the highest. Each item of a batch is coded as if it were alone. `denoise` removes
        noise, with models that have a denoising switch; the decoder need not know.

        Raises:
            InputError: the samples cannot be used, or there are none; SampleRateError, BitrateError likewise.
        """
        samples = as_samples(wav, sample_rate)
        batch = [as_channels(item) for item in samples] if samples.ndim == 3 else [as_channels(samples)]
        if not batch or not batch[0].shape[1]:
            raise InputError(
                f"samples of shape {samples.shape}: there is nothing to encode; give at least 1 sample"
            )
        header = self.header(sample_rate, batch[0].shape[0], bitrate, length=batch[0].shape[1])
        codes = [self._codes(item, header, denoise) for item in batch]
        return EncodedAudio(np.stack(codes) if samples.ndim == 3 else codes[0], header)

    def decode(self, encoded: EncodedAudio) -> tuple[Samples, int]:
        """Decode to float32 samples [C, L], or [B, C, L] for a batch, and their original sample rate.

        Codes may have fewer rows or frames than were encoded; the sound is then coarser or shorter.

        Raises:
            InputError: the codes do not fit the model.
            RegistryError: they were made with another model, or with codebooks that are not available.
        """
        codes, header = as_array(encoded.codes), encoded.header
        if codes.ndim == 4:
            items = [self.decode(EncodedAudio(item, header))[0] for item in codes]
            return np.stack(items), header.sample_rate
        if codes.ndim != 3 or codes.shape[0] != header.channels or codes.dtype.kind not in "iu":
            raise InputError(
                f"codes are {codes.dtype} {codes.shape}; expected int64 [C, N, T], C = {header.channels}"
            )
        decoder = PacketDecoder(self.revisions.model_for(header), header, length=header.length)
        frames = range(0, codes.shape[2], header.packet_frames)
        parts = [decoder.push(codes[..., i : i + header.packet_frames].astype(np.int64)) for i in frames]
        return np.concatenate([*parts, decoder.flush()], axis=1), header.sample_rate

    def compress(
        self, wav: Any, sample_rate: int, bitrate: float | None = None, *, denoise: bool = False
    ) -> bytes:
        """Encode samples [L] or [C, L] to the bytes of a `.nac` file; otherwise as `encode`."""
        samples = as_channels(wav, sample_rate)
        if not samples.shape[1]:
            raise InputError("there is nothing to compress; give at least 1 sample")
        file = io.BytesIO()
        header = self.header(sample_rate, samples.shape[0], bitrate, length=samples.shape[1])
        self._write(file, header, files.split_blocks(samples), denoise)
        return file.getvalue()

    def decompress(
        self, data: bytes, *, conceal: bool = False, conceal_limit: float | None = None
    ) -> tuple[Samples, int]:
        """Decode the bytes of a `.nac` file to samples [C, L] and sample rate; `conceal` fills damaged parts.

        At most `conceal_limit` seconds are filled; None: as many as can be read, but at least 5.

        Raises:
            BitstreamError: the bytes are damaged; says which seconds are lost, or are too many to fill.
            RegistryError: they were made with another model, or with codebooks that are not available.
        """
        reader = ContainerReader(io.BytesIO(data))
        model = self.revisions.model_for(reader.header)
        parts = files.read_blocks(model, reader, conceal=conceal, conceal_limit=conceal_limit)
        return np.concatenate(list(parts), axis=1), reader.header.sample_rate

    def compress_file(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        bitrate: float | None = None,
        *,
        overwrite: bool = False,
        progress: files.Progress | None = None,
        denoise: bool = False,
    ) -> Header:
        """Encode a sound file to a `.nac` file in bounded memory; nothing is left behind when it fails.

        Raises:
            InputError: one of the files cannot be read or written, or is there already; the message names it.
        """
        header, blocks = self._open(source, bitrate, progress)
        with new_file(target, overwrite) as temporary, temporary.open("wb") as file:
            self._write(file, header, blocks, denoise)
        return header

    def encode_file(
        self,
        source: str | os.PathLike[str],
        bitrate: float | None = None,
        *,
        progress: files.Progress | None = None,
        denoise: bool = False,
    ) -> EncodedAudio:
        """Encode a sound file to the codes that `compress_file` writes; only the codes are held in memory.

        Raises:
            InputError: the file cannot be read.
        """
        header, blocks = self._open(source, bitrate, progress)
        encoder = PacketEncoder(self.model, header, denoise)
        codes = np.concatenate(list(encoder.packets(blocks)), axis=2)
        return EncodedAudio(codes, replace(header, length=encoder.length))

    def decompress_file(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        *,
        start: float = 0.0,
        duration: float | None = None,
        conceal: bool = False,
        conceal_limit: float | None = None,
        rescale: bool = False,
        subtype: str | None = None,
        overwrite: bool = False,
        progress: files.Progress | None = None,
    ) -> files.Decoded:
        """Decode a `.nac` file, or `duration` seconds from `start` on, to a sound file in bounded memory.

        Integer formats clip samples beyond full scale, and the result says how many; `rescale` lowers the
        level of the whole file instead. `conceal` and `conceal_limit` are those of `decompress`.

        Raises:
            InputError: a file cannot be read or written, or is there already, or `start` is beyond the end.
            BitstreamError, RegistryError: as `decompress`.
        """
        part = files.Part(start, duration, conceal, conceal_limit, rescale)
        return files.decode_file(self.revisions.model_for, part, source, target, subtype, overwrite, progress)

    def stream_encoder(
        self,
        sample_rate: int,
        channels: int = 1,
        bitrate: float | None = None,
        *,
        packet_frames: int | None = None,
        length: int | None = None,
        denoise: bool = False,
    ) -> StreamEncoder:
        """Start a stream; a packet has `packet_frames` frames (None: about a second; 1 or 2 to talk).

        With `length`, the samples to come, the packets are exactly those of `compress`. `denoise` can be
        changed while the stream runs: it is an attribute of the encoder.
        """
        header = self.header(sample_rate, channels, bitrate, packet_frames=packet_frames, length=length)
        return StreamEncoder(self.model, header, denoise)

    def stream_decoder(self, header: Header | None = None) -> StreamDecoder:
        """Start to receive a stream; give the encoder's `header` if the first packet may be lost."""
        return StreamDecoder(self.revisions.model_for, header)

    def header(
        self,
        sample_rate: int,
        channels: int,
        bitrate: float | None = None,
        *,
        packet_frames: int | None = None,
        length: int | None = None,
    ) -> Header:
        """The header of a recording that this codec encodes.

        Raises:
            SampleRateError, BitrateError, InputError: a value is not supported; the message says what is.
        """
        num_quantizers = self.model.num_quantizers_for(bitrate)
        return Header(
            model_id=self.model_id,
            codebook_id=self.codebook_id,
            sample_rate=audio.check_sample_rate(sample_rate),
            channels=channels,
            length=length,
            model_sample_rate=self.model.sample_rate,
            hop_length=self.model.hop_length,
            delay=self.model.delay,
            codebook_sizes=self.model.quantizer.codebook_sizes[:num_quantizers],
            packet_frames=self.packet_frames if packet_frames is None else packet_frames,
            model_name=self.name,
        )

    def check(self, bitrate: float | None = None, denoise: bool = False) -> None:
        """Look whether this codec can encode like this, before anything is encoded.

        Raises:
            BitrateError: the model does not offer the bitrate.
            InputError: the model has no denoising switch; names the installed models that have one.
        """
        self.model.num_quantizers_for(bitrate)
        if denoise and not self.model.can_denoise:
            known = ", ".join(name for name, entry in pretrained.models().items() if entry.denoise)
            raise InputError(
                f"model {self.name!r} has no denoising switch; installed models with one: {known or 'none'};"
                " leave out --denoise, or name one of these or a folder (--model)"
            )

    def with_codebook(self, codebook_id: str) -> Codec:
        """The same codec with other codebooks from its store; all else is shared.

        Raises:
            RegistryError: they are not available.
        """
        if not codebook_id:
            raise RegistryError("the identity of the codebooks is empty; give its first letters")
        model = self.revisions.get(codebook_id)
        metadata = {
            **self.metadata,
            "model_id": self.model_id,
            "codebook_id": identify_codebooks(model.revision()),
        }
        codec = Codec(model, self.config, metadata, device_of(model), self.revisions.store)
        codec.revisions.origin = self.revisions.origin or self.revisions
        return codec

    def _open(
        self, source: str | os.PathLike[str], bitrate: float | None, progress: files.Progress | None
    ) -> tuple[Header, Iterator[Samples]]:
        """Header and samples of a sound file."""
        facts = audio.info(source)
        # The header of an MP3 file only estimates the length.
        length = None if facts.format.startswith(audio.MPEG) else facts.length
        header = self.header(facts.sample_rate, facts.channels, bitrate, length=length)
        return header, files.watched(audio.blocks(source, files.BLOCK_LENGTH), facts.length, progress)

    def _write(self, file: BinaryIO, header: Header, blocks: Iterable[Samples], denoise: bool) -> None:
        """Encode blocks [C, L] of one recording into a container."""
        encoder, writer = PacketEncoder(self.model, header, denoise), ContainerWriter(file, header)
        for codes in encoder.packets(blocks):
            writer.write_packet(codes)
        writer.close(encoder.length)

    def _codes(self, samples: Samples, header: Header, denoise: bool) -> NDArray[np.int64]:
        encoder = PacketEncoder(self.model, header, denoise)
        packets = list(encoder.packets(files.split_blocks(samples)))
        return np.ascontiguousarray(np.concatenate(packets, axis=2))


def load(
    name_or_path: str | os.PathLike[str] | None = None,
    device: str = "auto",
    codebooks: CodebookStore | None = None,
) -> Codec:
    """Load a pretrained model by name (None: the default one), or your own by its folder or weight file.

    `device` is "auto" (a GPU if there is one) or a device name such as "cpu" or "cuda". `codebooks` is
    a store of other revisions of its codebooks, such as `audiocodec.adaptation.registry.Registry`.

    Raises:
        RegistryError: the name is not known, or the files were changed.
        CheckpointError: the model is damaged.
    """
    path = pretrained.find(pretrained.default_model() if name_or_path is None else os.fspath(name_or_path))
    model, config, metadata = load_model(path, resolve_device(device))
    file = weights_file(path)
    metadata.setdefault("name", file.resolve().parent.name if file.name == WEIGHTS_NAME else file.stem)
    return Codec(model, config, metadata, device_of(model), codebooks)
