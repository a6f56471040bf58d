"""Codebook revisions of models: kept for ever, with an account of who made them, when and why."""

from audiocodec.adaptation.registry.audit import Event
from audiocodec.adaptation.registry.delta import round_changes
from audiocodec.adaptation.registry.revision import Provenance, Revision
from audiocodec.adaptation.registry.store import Registry
from audiocodec.adaptation.registry.verification import Finding

__all__ = ["Event", "Finding", "Provenance", "Registry", "Revision", "round_changes"]
