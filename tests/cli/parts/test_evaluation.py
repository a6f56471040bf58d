from pathlib import Path

import pytest
import typer

from audiocodec.cli.parts.evaluation import cache_folder, parse_bitrates, parse_formats, parse_peers


def test_numbers_with_commas():
    assert parse_bitrates("1500,6e3") == (1500.0, 6000.0)
    assert parse_bitrates(None) == ()
    with pytest.raises(typer.BadParameter, match="numbers with commas"):
        parse_bitrates("1500;3000")


def test_formats():
    assert parse_formats("html,md") == ("html", "md")
    with pytest.raises(typer.BadParameter, match="choose from html, md"):
        parse_formats("html,doc")


def test_peers_by_name_and_by_command():
    found = parse_peers("opus:6000:12000,lyra", ["own=run {in} {out}"], ["dac=d"], Path("l"), 30.0)
    assert [peer.spec for peer in found] == ["opus", "lyra", "own=run {in} {out}"]
    assert [peer.bitrates for peer in found] == [(6000.0, 12000.0), (), ()]
    assert found[0].options.folders == {"lyra": Path("l"), "dac": Path("d")}
    assert found[0].options.timeout_seconds == 30.0
    assert parse_peers(None, (), (), None, 900.0) == ()


def test_what_can_be_made_again_is_kept_where_the_system_says(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/audiocodec")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "audiocodec"
