from pathlib import Path

import numpy as np
import pytest

from audiocodec.audio.levels import active_level, rms_db
from audiocodec.effects import (
    Environment,
    Sources,
    build_effect,
    check_environments,
    pick_environment,
    read_environments,
)
from audiocodec.errors import ConfigError, InputError

RATE = 16000
FOLDER = Path(__file__).parents[2] / "recipes" / "environments"
FILES = sorted(path for path in FOLDER.glob("*.yaml") if path.stem != "types")


def environment(*effects, **fields):
    return Environment("here", effects=tuple(map(build_effect, effects)), **fields)


def scene(env, wav, sources, seed=0, **options):
    drawn = env.draw(np.random.default_rng(seed), len(wav), RATE, sources)
    return env.apply(wav, RATE, drawn, sources, **options)


def test_files_there_are():
    assert {path.stem for path in FILES} == {"clean", "noisy", "denoise", "all", "rooms"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_can_be_made(path, sources):
    if path.stem == "all":
        pytest.importorskip("av")
    environments = read_environments(path)
    assert environments[0].name == "clean"
    assert environments[0].effects == ()
    assert sum(env.weight_at(0) for env in environments) > 0
    check_environments(environments, sources, RATE)


def test_noisy_is_in_percent_and_denoise_differs_in_targets_only():
    noisy, denoise = (read_environments(FOLDER / f"{name}.yaml") for name in ("noisy", "denoise"))
    assert sum(env.weight for env in noisy) == 100
    assert [(env.name, env.weight) for env in noisy] == [(env.name, env.weight) for env in denoise]
    assert {env.name for env in denoise if env.target == "clean"} == {
        "noise", "hiss", "music", "babble", "room", "room-noise",
    }  # fmt: skip


def test_targets(speech, sources):
    noise = {"kind": "noise", "snr_db": 5}
    heard = scene(environment(noise), speech, sources)
    np.testing.assert_array_equal(heard.wav, heard.target)
    clean = scene(environment({"kind": "gain", "gain_db": -6}, noise, target="clean"), speech, sources)
    np.testing.assert_allclose(clean.target, speech * 10 ** (-6 / 20), rtol=1e-5)
    level = active_level(clean.target, RATE).level_db
    assert level - rms_db(clean.wav - clean.target) == pytest.approx(5, abs=0.05)


@pytest.mark.parametrize("peak", ["scale", "clip", "keep"])
def test_peaks(speech, sources, peak):
    env = environment({"kind": "noise", "snr_db": -10}, target="clean", peak=peak)
    loud = speech / np.abs(speech).max()
    found = scene(env, loud, sources)
    if peak == "scale":
        assert max(np.abs(found.wav).max(), np.abs(found.target).max()) == pytest.approx(0.99)
        level = active_level(found.target, RATE).level_db
        assert level - rms_db(found.wav - found.target) == pytest.approx(-10, abs=0.05)
        return
    np.testing.assert_array_equal(found.target, loud)
    highest = np.abs(found.wav).max()
    assert highest == 1.0 if peak == "clip" else highest > 1.5


def test_silence_is_an_error_or_stays_with_its_reason(sources):
    env, silence = environment({"kind": "noise"}, target="clean"), np.zeros(8000, np.float32)
    with pytest.raises(InputError, match="SNR is not defined"):
        scene(env, silence, sources)
    found = scene(env, silence, sources, strict=False)
    assert not found.wav.any()
    assert not found.target.any()
    assert "SNR is not defined" in found.reason


def test_curriculum(sources):
    env = environment(
        {"kind": "noise", "snr_db": [0, 10]},
        {"kind": "gain"},
        weight=4.0,
        start_step=100,
        full_step=300,
        start_snr_db=(20.0, 30.0),
    )
    assert [env.weight_at(step) for step in (0, 99, 200, 300, 10**9, None)] == [0, 0, 2, 4, 4, 4]
    assert env.chain(200).effects[0].snr_db == (10.0, 20.0)
    assert env.chain(100).effects[0].snr_db == (20.0, 30.0)
    assert env.chain(300) == env.chain(None) == env.chain()
    drawn = env.draw(np.random.default_rng(0), 100, RATE, sources, step=100)
    assert drawn["environment"] == "here"
    assert 20 <= drawn["effects"][0]["snr_db"] <= 30


def test_picked_by_weight():
    environments = (
        Environment("a", 1.0),
        Environment("b", 3.0, start_step=10, full_step=20),
        Environment("c", 0.0),
    )
    rng = np.random.default_rng(0)
    assert {pick_environment(environments, rng, 5).name for _ in range(50)} == {"a"}
    picks = [pick_environment(environments, rng).name for _ in range(4000)]
    assert picks.count("b") / 4000 == pytest.approx(0.75, abs=0.03)
    assert "c" not in picks
    before = np.random.default_rng(1)
    pick_environment(environments, before, 0)
    after = np.random.default_rng(1)
    after.random()
    assert before.random() == after.random()
    with pytest.raises(ConfigError, match="no environment has a weight at step 3"):
        pick_environment(environments[1:], rng, 3)


def test_everything_missing_is_named_at_once(tmp_path):
    environments = (
        environment({"kind": "gain"}),
        Environment("street", effects=(build_effect({"kind": "noise", "probability": 0.0}),)),
        Environment("hall", effects=(build_effect({"kind": "room"}),)),
        Environment("church", effects=(build_effect({"kind": "room"}),)),
    )
    with pytest.raises(InputError) as caught:
        check_environments(environments, Sources(), RATE)
    assert "street: no recording of kind noise" in str(caught.value)
    assert "; hall, church: no recording of kind rir among the sources; give a" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("environments: {}", "no environment"),
        ("environments: {a: {weigth: 1}}", "did you mean 'weight'"),
        ("environments: {a: {weight: -1}}", "weight -1"),
        ("environments: {a: {target: noise}}", "one of 'input', 'clean'"),
        ("environments: {a: {start_step: 5, full_step: 3}}", "in this order"),
        ("environments: {a: {effects: [{kind: nois}]}}", r"effects\[0\].kind"),
        ("environments: {a: {effects: [{kind: noise, snr_db: [3, 1]}]}}", r"effects\[0\].*snr_db"),
        ("environments: {a: {start_snr_db: [3, 1]}}", "start_snr_db"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, text, message):
    (tmp_path / "e.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_environments(tmp_path / "e.yaml")
