"""What a recipe may not say, and what the error tells."""

import pytest

from audiocodec.config import dump_yaml, from_mapping, load_config
from audiocodec.errors import ConfigError
from audiocodec.training.config import TrainConfig


def test_a_recipe_survives_writing_and_reading(tmp_path):
    config = TrainConfig(name="x", prefix_choices=(1,), frozen=("encoder",))
    (tmp_path / "a.yaml").write_text(dump_yaml(config))
    assert load_config(TrainConfig, tmp_path / "a.yaml") == config


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"loss": {"weights": {"mell": 1.0}}}, ["mell", "did you mean 'mel'"]),
        ({"loss": {"weights": {"mel": -1.0}}}, ["weights.mel", "0 or more"]),
        ({"loss": {"weights": {"mel": "4"}}}, ["loss.weights.mel", "number"]),
        ({"loss": {"mel_bins": [20]}}, ["5 window_lengths", "1 mel_bins"]),
        ({"loss": {"window_lengths": [130], "mel_bins": [20], "compressed_windows": []}}, ["multiples of 4"]),
        ({"loss": {"compressed_windows": [777]}}, ["777", "window_lengths"]),
        ({"loss": {"complex_share": 1.5}}, ["complex_share", "0 to 1"]),
        ({"data": {"level_db": [-10.0, -20.0]}}, ["level_db", "low then high"]),
        ({"data": {"level_db": [-10.0]}}, ["level_db", "2 entries"]),
        ({"data": {"level_probability": 2.0}}, ["level_probability"]),
        ({"data": {"batch_size": 0}}, ["batch_size is 0"]),
        ({"data": {"segment_seconds": 0.0}}, ["segment_seconds is 0"]),
        ({"data": {"source_weights": {"a": -1.0}}}, ["source_weights.a"]),
        ({"optim": {"betas": [0.9]}}, ["betas"]),
        ({"optim": {"betas": [0.9, 1.0]}}, ["betas"]),
        ({"optim": {"learning_rate": 0.0}}, ["learning_rate"]),
        ({"optim": {"decay_steps": -1}}, ["decay_steps is -1"]),
        ({"adversarial": {"share": 1.0}, "balancer": {"enabled": True}}, ["adversarial.share", "balancer"]),
        ({"frozen": ["encodr"]}, ["encodr", "did you mean 'encoder'"]),
        ({"frozen": ["encoder", "quantizer", "decoder"]}, ["leave one"]),
        ({"autocast": "float16"}, ["float16", "bfloat16 or none"]),
        ({"steps": 0}, ["steps is 0"]),
        ({"log_every": 0}, ["log_every is 0"]),
        ({"validate_every": 0}, ["validate_every is 0"]),
        ({"checkpoint_minutes": -1.0}, ["checkpoint_minutes"]),
        ({"start": ""}, ["start"]),
        ({"model": {"net": {"kind": "spectral", "window_length": 500}}}, ["window_length 500"]),
        ({"model": {"net": {"kind": "spectral", "substeps": 3}}}, ["substeps 3"]),
        ({"model": {"net": {"kind": "spectral", "exponent": 0.0}}}, ["exponent"]),
        ({"model": {"net": {"kind": "spectral", "dim": 0}}}, ["1 or more"]),
    ],
    ids=str,
)
def test_what_is_refused(mapping, words):
    with pytest.raises(ConfigError) as caught:
        from_mapping(TrainConfig, mapping)
    assert [word for word in words if word not in str(caught.value)] == []
