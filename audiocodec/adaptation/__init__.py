"""Codebooks that follow their environment: watch drift, fit anew, judge, keep every revision."""
