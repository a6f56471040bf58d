"""Peers by name, or by the command line that runs them."""

from __future__ import annotations

from collections.abc import Callable

from audiocodec.errors import InputError
from audiocodec.evaluation.peers.base import Peer, PeerOptions

PEERS: dict[str, Callable[[PeerOptions], Peer]] = {}


def open_peer(spec: str, options: PeerOptions | None = None) -> Peer:
    """Open a peer by its name in PEERS, or one given as "name=command {in} {out} {kbps}".

    Raises:
        InputError: the name is not known.
        PeerUnavailable: it cannot be run here; the message says what to install or to name.
    """
    name = spec.strip()
    if name not in PEERS:
        raise InputError(f"no codec {name!r}; choose from {', '.join(PEERS)}, or give 'name=command'")
    return PEERS[name](options or PeerOptions())
