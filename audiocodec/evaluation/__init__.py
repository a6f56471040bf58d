"""How well codecs hold up: acoustic conditions, other codecs, rows of scores, statistics and a report."""
