import json
from urllib.request import urlopen

import pytest

from audiocodec.adaptation.dashboard import WatchCollector, serve_metrics
from audiocodec.errors import InputError


def test_scraping(log, line):
    pytest.importorskip("prometheus_client")
    server, thread = serve_metrics(WatchCollector([log, log.with_name("none.jsonl")]), 0)
    address = f"http://127.0.0.1:{server.server_port}/metrics"
    try:
        text = urlopen(address).read().decode()
        assert 'audiocodec_drift_state{log="monitor"} 1.0' in text
        assert 'audiocodec_drift_score{log="monitor"} 2.5' in text
        assert 'audiocodec_drift_windows_total{log="monitor",state="alert"} 1.0' in text
        assert 'audiocodec_drift_windows_total{log="monitor",state="silent"} 1.0' in text
        assert 'audiocodec_drift_audio_seconds_total{log="monitor"} 120.0' in text
        assert 'audiocodec_drift_stage_measure{log="monitor",measure="js",stage="2"} 0.3' in text
        assert 'audiocodec_drift_environment{environment="unknown",log="monitor"} 1.0' in text
        with log.open("a") as file:
            file.write(json.dumps(line(4, "alert", 9.0)) + "\n")
        again = urlopen(address).read().decode()
        assert 'audiocodec_drift_state{log="monitor"} 2.0' in again
        assert 'audiocodec_drift_windows_total{log="monitor",state="ok"} 1.0' in again
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_port_in_use_is_an_error(log):
    pytest.importorskip("prometheus_client")
    server, thread = serve_metrics(WatchCollector([log]), 0)
    try:
        with pytest.raises(InputError, match="choose another"):
            serve_metrics(WatchCollector([log]), server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_numbers_that_cannot_be_drawn_are_not_counted(strange_log):
    pytest.importorskip("prometheus_client")
    families = {family.name: family for family in WatchCollector([strange_log]).collect()}
    assert families["audiocodec_drift_audio_seconds"].samples[0].value == 90
