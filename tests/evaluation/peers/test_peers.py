import pytest

from audiocodec.errors import InputError
from audiocodec.evaluation.peers import PEERS, PeerOptions, open_peer, open_peers
from audiocodec.evaluation.peers.program import CommandPeer


def test_names_are_those_of_the_peers():
    for name, kind in PEERS.items():
        assert kind.name == name


def test_a_peer_by_name():
    pytest.importorskip("av")
    assert open_peer(" opus ").ladder is None


def test_a_peer_by_command(program):
    program("codec", "exit 0")
    peer = open_peer("my-codec_2 = codec {in} {out} --rate={kbps}", PeerOptions(timeout_seconds=7))
    assert isinstance(peer, CommandPeer)
    assert (peer.name, peer.options.timeout_seconds) == ("my-codec_2", 7)
    assert peer.words[1:] == ["{in}", "{out}", "--rate={kbps}"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("mp4", "no codec 'mp4'; choose from opus, codec2"),
        ("opus=codec {in} {out}", "'opus' cannot be the name"),
        ("=codec {in} {out}", "'' cannot be the name"),
        ("a b=codec {in} {out}", "'a b' cannot be the name"),
        ("mine=", "mine"),
    ],
)
def test_what_names_no_peer(spec, words):
    with pytest.raises(InputError, match=words):
        open_peer(spec)


def test_peers_that_cannot_run_are_given_with_the_reason(program):
    program("codec", "exit 0")
    peers, missing = open_peers([("lyra", ()), ("mine=codec {in} {out}", (6000.0,))])
    assert [(peer.name, peer.chosen) for peer in peers] == [("mine", (6000.0,))]
    assert list(missing) == ["lyra"]
    assert "--lyra-models" in missing["lyra"]
    with pytest.raises(InputError, match="no codec 'mp4'"):
        open_peers([("mp4", ())])
