"""Other codecs, to compare with: `open_peer("opus").code(wav, sample_rate, bitrate)`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from audiocodec.errors import InputError, PeerUnavailable
from audiocodec.evaluation.peers.base import Peer, PeerOptions
from audiocodec.evaluation.peers.classic import AmrWbPeer, Codec2Peer, Lc3Peer, SpeexPeer
from audiocodec.evaluation.peers.lyra import LyraPeer
from audiocodec.evaluation.peers.neural import DacPeer, EncodecPeer, MimiPeer
from audiocodec.evaluation.peers.opus import OpusPeer
from audiocodec.evaluation.peers.program import CommandPeer

__all__ = ["PEERS", "Peer", "PeerOptions", "open_peer", "open_peers"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,40}")

PEERS: dict[str, Callable[[PeerOptions], Peer]] = {
    "opus": OpusPeer,
    "codec2": Codec2Peer,
    "amrwb": AmrWbPeer,
    "speex": SpeexPeer,
    "lc3": Lc3Peer,
    "lyra": LyraPeer,
    "encodec": EncodecPeer,
    "dac": DacPeer,
    "mimi": MimiPeer,
}


def open_peer(spec: str, options: PeerOptions | None = None, bitrates: Sequence[float] = ()) -> Peer:
    """Open a peer by its name in PEERS, or one given as "name=command {in} {out} {kbps}" (see `CommandPeer`).

    `bitrates` are used in place of those that are asked of all codecs.

    Raises:
        InputError: the name is not known, or the command cannot be one.
        PeerUnavailable: it cannot be run here; the message says what to install or to name.
    """
    options = options or PeerOptions()
    name, equals, command = (part.strip() for part in spec.partition("="))
    if not equals:
        if name not in PEERS:
            raise InputError(
                f"no codec {name!r}; choose from {', '.join(PEERS)}, or give 'name=command {{in}} {{out}}'"
            )
        peer = PEERS[name](options)
    elif not _NAME.fullmatch(name) or name in PEERS:
        raise InputError(f"{name!r} cannot be the name of a command; use letters and digits, and none of "
                         f"{', '.join(PEERS)}")  # fmt: skip
    else:
        peer = CommandPeer(name, command, options)
    peer.chosen = tuple(bitrates)
    return peer


def open_peers(
    specs: Iterable[tuple[str, Sequence[float]]], options: PeerOptions | None = None
) -> tuple[list[Peer], dict[str, str]]:
    """Open the peers that can be run here; gives them, and the reason for each of the others.

    Args:
        specs: of each peer what `open_peer` takes, and its own bitrates.
        options: how they are run.

    Raises:
        InputError: a name is not known, or a command cannot be one.
    """
    peers: list[Peer] = []
    missing: dict[str, str] = {}
    for spec, bitrates in specs:
        try:
            peers.append(open_peer(spec, options, bitrates))
        except PeerUnavailable as error:
            missing[spec] = str(error)
    return peers, missing
