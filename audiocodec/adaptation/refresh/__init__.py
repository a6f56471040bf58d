"""Codebooks fitted anew to an environment, judged, and put into use by themselves where that is wanted."""
