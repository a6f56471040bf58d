"""Peers by name, or by the command line that runs them."""

from __future__ import annotations

import re
from collections.abc import Callable

from audiocodec.errors import InputError
from audiocodec.evaluation.peers.base import Peer, PeerOptions
from audiocodec.evaluation.peers.classic import AmrWbPeer, Codec2Peer, Lc3Peer, SpeexPeer
from audiocodec.evaluation.peers.command import CommandPeer
from audiocodec.evaluation.peers.lyra import LyraPeer
from audiocodec.evaluation.peers.neural import DacPeer, EncodecPeer, MimiPeer
from audiocodec.evaluation.peers.opus import OpusPeer

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


def open_peer(spec: str, options: PeerOptions | None = None) -> Peer:
    """Open a peer by its name in PEERS, or one given as "name=command {in} {out} {kbps}" (see `CommandPeer`).

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
        return PEERS[name](options)
    if not _NAME.fullmatch(name) or name in PEERS:
        raise InputError(f"{name!r} cannot be the name of a command; use letters and digits, and none of "
                         f"{', '.join(PEERS)}")  # fmt: skip
    return CommandPeer(name, command, options)
