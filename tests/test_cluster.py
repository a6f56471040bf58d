import os
import sys

import pytest

from audiocodec.cluster import Cluster, require_ray
from audiocodec.errors import MissingPackageError
from audiocodec.work import WorkerLost


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackageError, match=r"audiocodec\[ray\]"):
        require_ray()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_results_come_with_their_tags():
    pytest.importorskip("ray")
    with Cluster(num_cpus=2) as cluster:
        assert cluster.slots == 2
        shared = cluster.share([10])
        for number in range(3):
            cluster.submit(number, pow, number, 2)
        cluster.submit("shared", sum, shared)
        cluster.submit("dies", os._exit, 3)
        found = dict(cluster.next() for _ in range(5))
        assert not len(cluster)
    assert isinstance(found.pop("dies"), WorkerLost)
    assert found == {0: 0, 1: 1, 2: 4, "shared": 10}
