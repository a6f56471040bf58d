"""Codebook revisions of models: kept for ever, with an account of who made them, when and why."""

from audiocodec.adaptation.registry.audit import Event
from audiocodec.adaptation.registry.delta import round_changes
from audiocodec.adaptation.registry.registry import Finding, Registry, is_store, open_registry
from audiocodec.adaptation.registry.revision import Provenance, Revision
from audiocodec.adaptation.registry.transfer import add_model_of, export_revision, import_bundle

__all__ = [
    "Event",
    "Finding",
    "Provenance",
    "Registry",
    "Revision",
    "add_model_of",
    "export_revision",
    "import_bundle",
    "is_store",
    "open_registry",
    "round_changes",
]
