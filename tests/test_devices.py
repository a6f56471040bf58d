import pytest
import torch

from audiocodec.devices import device_of, resolve_device
from audiocodec.errors import InputError


def test_auto_is_a_gpu_when_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    tried = []
    monkeypatch.setattr(torch, "zeros", lambda count, device: tried.append(device) or torch.ones(count))
    assert resolve_device("auto") == torch.device("cuda")
    assert tried == [torch.device("cuda")]


def test_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no usable GPU"):
        resolve_device("cuda:0")


def test_unknown():
    with pytest.raises(InputError, match="'gpu' is not known; use auto, cpu or cuda"):
        resolve_device("gpu")


def test_device_of():
    assert device_of(torch.nn.Linear(2, 2)) == torch.device("cpu")
