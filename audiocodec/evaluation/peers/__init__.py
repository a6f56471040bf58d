"""Other codecs, to compare with: `open_peer("opus").roundtrip(wav, sample_rate, bitrate)`."""

from audiocodec.evaluation.peers.base import Coded, Peer, PeerOptions
from audiocodec.evaluation.peers.registry import PEERS, open_peer

__all__ = ["PEERS", "Coded", "Peer", "PeerOptions", "open_peer"]
