"""The registry as its users see it."""

import errno
import json

import pytest
import torch
from tests.adaptation.conftest import MODEL, change, make_codebooks
