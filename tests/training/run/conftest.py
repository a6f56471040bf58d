import pytest

from audiocodec.training.loop import Trainer


@pytest.fixture
def trainer(recipe, tmp_path):
    trainer = Trainer(recipe, tmp_path / "run")
    trainer.step()
    return trainer
