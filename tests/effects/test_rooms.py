import csv
import sys

import numpy as np
import pytest
import soundfile
from scipy.signal import fftconvolve

from audiocodec.corpus import Recording
from audiocodec.effects import Sources, build_effect
from audiocodec.effects.rooms import (
    ROOM_SIZES,
    SimulatedRoom,
    direct_path,
    draw_room,
    ensure_rooms,
    simulate_room,
)
from audiocodec.errors import InputError, MissingPackageError

RATE = 16000


def through(wav, sources, **fields):
    effect = build_effect({"kind": "room", **fields})
    drawn = effect.draw(np.random.default_rng(0), len(wav), RATE, sources)
    return effect.apply(wav, RATE, drawn, sources), effect.reference(wav, RATE, drawn, sources)


@pytest.mark.parametrize("name", ["office", "hall"])
def test_it_is_a_convolution_without_its_delay_at_the_same_level(speech, sources, sound_folder, name):
    heard, target = through(speech, sources, names=[f"rir/{name}.wav"])
    response = soundfile.read(sound_folder / "rir" / f"{name}.wav")[0]
    delay = {"office": 40, "hall": 200}[name]
    assert direct_path(response) == delay
    expected = fftconvolve(speech.astype(np.float64), response)[delay : delay + len(speech)]
    expected *= np.sqrt(np.sum(np.square(speech, dtype=np.float64)) / np.sum(expected**2))
    np.testing.assert_allclose(heard, expected, atol=1e-3 * np.abs(expected).max())
    np.testing.assert_array_equal(target, speech)


def test_direct_and_early_parts_add_up(speech, sources, sound_folder):
    response = soundfile.read(sound_folder / "rir" / "hall.wav")[0]
    heard, early = through(speech, sources, names=["*hall*"], clean="early")
    _, direct = through(speech, sources, names=["*hall*"], clean="direct")
    gain = np.sqrt(np.sum(speech**2) / np.sum(fftconvolve(speech, response)[200 : 200 + len(speech)] ** 2))
    first = fftconvolve(speech, response[200:1001])[: len(speech)] * gain  # 50 ms
    np.testing.assert_allclose(early, first, atol=1e-3 * np.abs(first).max())
    near = [np.sum(np.square(heard - part)) for part in (early, direct)]
    assert near[0] < near[1] < np.sum(np.square(heard))


def test_a_reflection_may_be_the_highest():
    response = np.zeros(500)
    response[[100, 101, 300]] = [0.6, 0.7, 1.0]
    assert direct_path(response) == 101


def test_only_one_channel_of_a_response_is_used(tmp_path, speech):
    two = np.zeros((800, 2))
    two[10, 0], two[200, 1] = 1.0, 1.0
    soundfile.write(tmp_path / "two.wav", two, RATE)
    sources = Sources([Recording("two", tmp_path / "two.wav", kind="rir", type="measured")])
    np.testing.assert_allclose(through(speech, sources)[0], speech, atol=1e-4)


def decay_time(response):
    """T60 from Schroeder's backward integral between -5 and -25 dB."""
    energy = np.cumsum(np.square(response[::-1].astype(np.float64)))[::-1]
    level = 10 * np.log10(energy / energy[0] + 1e-12)
    start, stop = (int(np.argmax(level < limit)) for limit in (-5, -25))
    return 3 * (stop - start) / RATE


@pytest.mark.parametrize("size", ROOM_SIZES)
def test_drawn_rooms_decay_as_asked(size):
    pytest.importorskip("pyroomacoustics")
    rng = np.random.default_rng(5)
    for _ in range(2):
        room = draw_room(rng, size, near=False)
        response = simulate_room(room, RATE)
        assert direct_path(response) == pytest.approx(80, abs=1)  # 5 ms
        assert decay_time(response[80:]) == pytest.approx(room.t60, rel=0.2)


@pytest.mark.parametrize("near", [True, False])
@pytest.mark.parametrize("size", ROOM_SIZES)
def test_who_stands_where(size, near):
    rng = np.random.default_rng(0)
    for _ in range(20):
        room = draw_room(rng, size, near)
        assert room.type == f"simulated-{size}-{'near' if near else 'far'}"
        for place in (room.talker, room.microphone):
            assert np.all(np.array(place) >= 0.4)
            assert np.all(np.array(room.dimensions) - place >= 0.4)


def test_the_nearer_the_drier():
    pytest.importorskip("pyroomacoustics")
    shares = []
    for distance in (0.5, 1.5, 4.0):
        room = SimulatedRoom("medium", (8.0, 6.0, 3.0), (1.0, 3.1, 1.6), (1.0 + distance, 3.0, 1.4), 0.5, 1)
        response = simulate_room(room, RATE)
        shares.append(np.sum(response[:120] ** 2) / np.sum(response**2))
    assert shares[0] > 1.3 * shares[1] > 1.3 * 1.3 * shares[2]


def test_a_bank_is_made_once_and_is_a_source(tmp_path, speech):
    pytest.importorskip("pyroomacoustics")
    told = []
    manifest = ensure_rooms(tmp_path / "a", count=6, seed=3, progress=told.append)
    assert told[-1] == 1.0
    with manifest.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["type"] for row in rows[:4]] == [
        f"simulated-{kind}" for kind in ("small-near", "medium-near", "large-near", "small-far")
    ]
    stamp = manifest.stat().st_mtime_ns
    assert ensure_rooms(tmp_path / "a", count=6, seed=3) == manifest
    assert manifest.stat().st_mtime_ns == stamp
    again = ensure_rooms(tmp_path / "b", count=6, seed=3)
    assert manifest.read_bytes() == again.read_bytes()
    for row in rows:
        first, second = (soundfile.read(path.parent / row["path"])[0] for path in (manifest, again))
        np.testing.assert_array_equal(first, second)
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["rooms-6-16000-3"]
    sources = Sources.open([manifest])
    effect = build_effect({"kind": "room", "types": ["simulated-large-*"]})
    drawn = effect.draw(np.random.default_rng(0), len(speech), RATE, sources)
    assert drawn["type"].startswith("simulated-large")
    assert np.isfinite(effect.apply(speech, RATE, drawn, sources)).all()


@pytest.mark.parametrize("change", ["rewritten", "gone", "without stamps", "damaged stamps"])
def test_a_bank_that_is_not_as_it_was_made_is_made_again(tmp_path, change):
    pytest.importorskip("pyroomacoustics")
    manifest = ensure_rooms(tmp_path, count=1)
    room = next(manifest.parent.glob("*.flac"))
    before, stamps = room.read_bytes(), manifest.with_name("stamps.json")
    if change == "rewritten":
        room.write_bytes(bytes(len(before)))
    elif change == "damaged stamps":
        room.write_bytes(b"")
        stamps.write_text("[]")
    else:
        (room if change == "gone" else stamps).unlink()
    assert ensure_rooms(tmp_path, count=1) == manifest
    assert room.read_bytes() == before
    assert stamps.exists()


def test_what_stands_in_the_way(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyroomacoustics", None)
    with pytest.raises(MissingPackageError, match=r"audiocodec\[train\]"):
        ensure_rooms(tmp_path / "a", count=1)
    monkeypatch.undo()
    pytest.importorskip("pyroomacoustics")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="choose another folder"):
        ensure_rooms(tmp_path / "file", count=1)
