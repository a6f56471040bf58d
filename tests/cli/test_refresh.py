import numpy as np
import pytest
import soundfile

from audiocodec.adaptation.registry import Registry
from audiocodec.cli.refresh import reason_of


@pytest.fixture
def folders(voice, tmp_path):
    """hall: a talker beside a machine; quiet: the same kind of talker alone."""
    for folder, machine in (("hall", 0.08), ("quiet", 0.0)):
        (tmp_path / folder).mkdir()
        for number in range(13):
            wav = voice(3.2, seed=50 * (machine > 0) + number)[0]
            time = np.arange(len(wav)) / 16000
            wav += machine * (np.sin(2 * np.pi * 2400 * time) + np.sin(2 * np.pi * 3300 * time + 1))
            soundfile.write(tmp_path / folder / f"{number}.wav", wav, 16000)


def test_refresh_judges_and_keeps_what_came_out(run, rows, folders, codec):
    result = run(
        "refresh",
        "hall",
        "--store",
        "books",
        "--clean",
        "quiet",
        "--environment",
        "hall",
        "--json",
        "--activate",
    )
    (found,) = rows(result)
    assert result.exit_code == (0 if found["accepted"] else 1)
    registry = Registry("books")
    revision = registry.revision(found["codebook"])
    assert revision.status == ("published" if found["accepted"] else "refused")
    assert revision.active == found["active"] == found["accepted"]
    assert (revision.provenance.environment, revision.parent) == ("hall", codec.codebook_id)
    shown = run("codebooks", "show", revision.codebook_id[:8], "--store", "books").stdout
    assert all(
        part in shown for part in (revision.codebook_id, codec.codebook_id, "mean change", "mel_distance")
    )
    assert shown.rstrip().endswith(found["reason"])
    assert "fingerprint" not in shown
    assert len(shown.splitlines()) < 30
    assert revision.provenance.fingerprint == found["fingerprint"]
    assert found["verdict"]["environment"]["quantization_error"]["change"] < 0
    assert found["fit"]["moved_entries"] == [16] * 8
    assert set(found["verdict"]["clean"]) == {
        "pesq_wb",
        "stoi",
        "mel_distance",
        "quantization_error",
        "bytes",
    }


def test_the_reason_says_what_was_fitted():
    assert reason_of("kmeans", False) == "refresh by kmeans"
    assert reason_of("kmeans", True) == "refresh by kmeans, with adapter"
    assert reason_of("none", True) == "adapter only"


def test_wrong_use_is_refused_before_any_work(run, folders):
    cases = [
        (("--method", "magic"), 1, "choose one of kmeans"),
        (("--fraction", "1.5"), 1, "fraction 1.5"),
        (("--stages", "three"), 2, "such as 1-4"),
        (("--stages", "2-99", "--clean", "quiet"), 1, "this model has 1 to 8"),
        (("--bitrate", "123"), 1, "choose one of"),
        (("--method", "none"), 1, "changes nothing by itself"),
        (("--environment-only", "--activate"), 1, "leave out --activate"),
    ]
    for arguments, status, message in cases:
        result = run("refresh", "hall", "--store", "books", *arguments)
        assert result.exit_code == status
        assert message in " ".join(result.stderr.split())


def test_silence_and_too_little_sound_are_named(run, folders, tmp_path):
    (tmp_path / "few").mkdir()
    soundfile.write(tmp_path / "few" / "silent.wav", np.zeros(160000), 16000)
    result = run("refresh", "few", "--store", "books", "--clean", "quiet")
    assert result.exit_code == 1
    assert "silent.wav: silent, or shorter than 1 s" in result.stderr
    needed = "at least 12 are needed: 6 to fit codebooks to and 6 to judge them with"
    assert f"0 s of sound make 0 pieces, {needed}" in result.stderr
    assert "pieces of at most 8 s, so 96 s that are not silent are always enough" in result.stderr


@pytest.mark.slow
def test_each_file_takes_the_codebooks_and_the_adapter_of_its_environment(run, rows, folders, voice, codec):
    """hall and quiet, known by their baselines, in one run; each file says what it was taken for."""
    result = run(
        *("refresh", "hall", "--store", "books", "--clean", "quiet", "--environment", "hall", "--json"),
        *("--method", "none", "--adapter", "--environment-only"),
    )
    (found,) = rows(result)
    assert found["fit"]["adapter"]
    assert "tolerance" not in found["verdict"]["reason"]
    identity = found["codebook"]
    assert "numbers of the decoder (adapter)" in run("codebooks", "show", identity, "--store", "books").stdout
    result = run("codebooks", "activate", identity, "--store", "books", "--force")
    assert result.exit_code == 0, result.stderr
    result = run("codebooks", "rollback", "--store", "books")
    assert result.exit_code == 0, result.stderr
    described = ("--store", "books", "--windows", 50)
    run("baseline", "quiet", "-o", f"books/baselines/{codec.codebook_id}.safetensors", *described)
    for name, codebook in (("quiet", codec.codebook_id), ("hall", identity)):
        result = run(
            *("baseline", name, "-o", f"books/environments/{name}.safetensors", "--name", name),
            *("--codebook", codebook, *described),
        )
        assert result.exit_code == 0, result.stderr
    for name in ("hall", "quiet"):  # of one talker each, long enough to be told
        parts = [soundfile.read(f"{name}/{number}.wav")[0] for number in range(3)]
        soundfile.write(f"{name}.wav", np.concatenate(parts), 16000)
    result = run(
        "encode", "hall.wav", "quiet.wav", "-o", "coded", "--codebook", "auto", "--store", "books", "--json"
    )
    assert result.exit_code == 0, result.stderr
    coded = {record["environment"]: record for record in rows(result)}
    assert coded["hall"]["codebook"] == identity[:32]
    assert coded["quiet"]["codebook"] == codec.codebook_id[:32]
    result = run("decode", "coded/hall.nac", "-o", "hall.out.wav", "--store", "books")
    assert result.exit_code == 0, result.stderr
    assert "is not available" in run("decode", "coded/hall.nac", "-o", "other.wav").stderr
    result = run("encode", "hall.wav", "-o", "again.nac", "--codebook", "auto", "--store", "books")
    assert "environment hall" in " ".join(result.output.split())
