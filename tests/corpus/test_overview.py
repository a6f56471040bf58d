from audiocodec.corpus.overview import find_problems, summarize


def row(n, split="train", speaker="s", **changes):
    return {
        "path": f"{n}.wav", "split": split, "kind": "speech", "source": "c", "speaker": speaker,
        "seconds": 360.0, "sample_rate": 16000, "level_db": -25.0, "clipped": 0.0, "silence": 0.2,
    } | changes  # fmt: skip


def test_hours_speakers_and_rates_by_part():
    rows = [
        row(0),
        row(1, speaker="t"),
        row(2, "valid", "u", sample_rate=8000),
        row(3, speaker="", source="d"),
    ]
    found = summarize(rows)
    assert (found["files"], found["hours"], found["speakers"]) == (4, 0.4, 3)
    assert [(p["split"], p["source"], p["files"], p["hours"], p["speakers"]) for p in found["parts"]] == [
        ("train", "c", 2, 0.2, 2), ("train", "d", 1, 0.1, 0), ("valid", "c", 1, 0.1, 1),
    ]  # fmt: skip
    assert found["parts"][2]["sample_rates"] == {"8000": 1}


def test_levels_are_counted():
    rows = [row(n, level_db=level) for n, level in enumerate([-70, -60, -59, -45, -25, -20, -5, 0])]
    counts = {entry["level_db"]: entry["files"] for entry in summarize(rows)["levels"]}
    assert counts == {
        "below -60": 1, "-60 to -50": 2, "-50 to -40": 1, "-40 to -30": 0, "-30 to -20": 1, "-20 to -10": 1,
        "from -10": 2,
    }  # fmt: skip


def test_nothing_odd():
    assert find_problems([row(0), row(1, "valid", "t"), row(2, kind="noise", speaker="")], {}) == []


def test_what_is_odd_is_said():
    rows = [
        row(0, clipped=0.01), row(1, level_db=-50.0), row(2, silence=0.9), row(3, speaker=""),
        row(4, "test", "s"),
    ]  # fmt: skip
    text = "\n".join(find_problems(rows, {"c/s": ["test", "train"]}))
    for words in (
        "1 of 5 files are clipped", "0.wav", "1 of 5 files are quiet", "1.wav", "mostly silent", "2.wav",
        "no speaker is known for 1 files", "1 speakers are in several splits", "c/s (test+train)",
        "split valid is empty",
    ):  # fmt: skip
        assert words in text
