import numpy as np
import pytest

from audiocodec.adaptation.watch import StateMachine
from audiocodec.adaptation.watch.alarm import Score, count_alarms, make_detector, page_hinkley
from audiocodec.errors import InputError


def run(values, changed=(), recovery=3):
    machine = StateMachine(recovery)
    return [machine.update(Score(v, "js", 0.5, 1.0, 2.0), i in changed)[0] for i, v in enumerate(values)]


def test_rises_at_once_and_falls_late():
    assert "".join(run([0, 1.5, 0, 0, 0])) == "owwwo"
    assert "".join(run([3, 0, 0, 0])) == "aaao"
    assert "".join(run([3, 0, 0, 1.5, 0, 0, 0])) == "aaaaaao"  # a warning keeps an alert up
    assert "".join(run([0, 0], changed={1})) == "oa"


@pytest.mark.parametrize("kind", ["page_hinkley", "adwin"])
def test_sequential_tests_find_what_one_window_cannot(kind):
    rng = np.random.default_rng(0)
    null = rng.standard_normal(300)
    calm = make_detector(kind, null, 0.01, np.random.default_rng(1))
    alarms = sum(calm.update(float(score)) for score in rng.choice(null, 1000))
    assert alarms <= 25
    delays = []
    for seed in range(5):
        detector = make_detector(kind, null, 0.01, np.random.default_rng(seed))
        scores = rng.choice(null, 200) + 1.5  # below the threshold of a single window at 1 %
        delays.append(next((i for i, score in enumerate(scores) if detector.update(float(score))), 999))
    assert max(delays) < 60


def test_other_tests_are_named():
    with pytest.raises(InputError, match="page_hinkley"):
        make_detector("cusum", np.zeros(3), 0.01, np.random.default_rng(0))
    assert make_detector("none", np.zeros(3), 0.01, np.random.default_rng(0)) is None


def test_alarms_are_counted_as_river_does():
    drift = pytest.importorskip("river.drift")
    scores = np.random.default_rng(0).standard_t(3, 1000)
    for threshold in (2.0, 8.0, 20.0):
        detector, alarms = page_hinkley(drift, threshold), 0
        for score in scores:
            detector.update(float(score))
            alarms += bool(detector.drift_detected)
        assert count_alarms(scores.tolist(), threshold) == alarms
