from pathlib import Path

import pytest
import typer

from audiocodec.cli.parts.engine import fit_for_cluster, whole_path
from audiocodec.cli.parts.paths import PIPE, Item


def test_outputs_that_exist_are_refused_before_anything_is_done(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.nac").touch()
    item = Item(Path("a.wav"), Path("a.nac"))
    assert "exists already" in str(fit_for_cluster(item, force=False).problem)
    assert fit_for_cluster(item, force=True) == Item(tmp_path / "a.wav", tmp_path / "a.nac")
    assert fit_for_cluster(Item(Path("b.wav"), Path("b.nac")), force=False).problem is None
    with pytest.raises(typer.BadParameter, match="a pipe cannot be read on a cluster"):
        fit_for_cluster(Item(PIPE, Path("x.nac")), force=False)


def test_models_by_name_keep_it_and_paths_are_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert [whole_path(name) for name in (None, "speech-16k", "mine")] == [
        None, "speech-16k", str(tmp_path / "mine")
    ]  # fmt: skip
