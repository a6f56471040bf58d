"""What a run leaves on its page while it goes on."""

import io
import tarfile
from dataclasses import replace

from audiocodec.training.loop import Trainer


def test_a_corrupt_recording_in_mid_epoch_is_named_in_the_report(recipe, tmp_path, recordings):
    with tarfile.open(tmp_path / "train.tar", "w") as shard:
        shard.add(recordings / "train" / "a" / "0.wav", "good.wav")
        info = tarfile.TarInfo("bad.wav")
        info.size = 8
        shard.addfile(info, io.BytesIO(b"no sound"))
    data = replace(recipe.data, manifest=str(tmp_path / "train.tar"), shuffle_segments=8)
    trainer = Trainer(replace(recipe, data=data, steps=8, log_every=8), tmp_path / "run")
    trainer.fit()
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Recordings left out: 1<" in page
    assert "train.tar/bad" in page
    assert trainer.data.sampler.skips > 1
    assert f"Met {trainer.data.sampler.skips} times while training" in page
