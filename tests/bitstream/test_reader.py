import os

import pytest

from audiocodec.bitstream import open_container
from audiocodec.errors import InputError, NotAContainer


def test_what_cannot_be_opened(tmp_path):
    with pytest.raises(InputError, match="no such file"), open_container(tmp_path / "none.nac"):
        pass
    with pytest.raises(InputError, match="is a folder"), open_container(tmp_path):
        pass


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(tmp_path):
    (tmp_path / "a.nac").touch(mode=0)
    with pytest.raises(InputError, match="cannot be read"), open_container(tmp_path / "a.nac"):
        pass


def test_errors_inside_name_the_file_once(tmp_path):
    path = tmp_path / "a.nac"
    path.write_bytes(b"something else")
    with pytest.raises(NotAContainer) as caught, open_container(path):
        pass
    assert str(caught.value).count("a.nac") == 1
    assert str(caught.value).startswith(f"{path}: not a .nac file")
