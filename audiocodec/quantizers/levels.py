"""Numbers of levels per channel for scalar quantizers of a wanted codebook size."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement

from audiocodec.errors import ConfigError

PAPER_LEVELS = {
    1 << 8: (8, 6, 5),
    1 << 10: (8, 5, 5, 5),
    1 << 12: (7, 5, 5, 5, 5),
    1 << 14: (8, 8, 8, 6, 5),
    1 << 16: (8, 8, 8, 5, 5, 5),
}
"""Recommended in Mentzer et al. 2023, https://arxiv.org/abs/2309.15505, table 1."""


def choose_levels(codebook_size: int, levels: str = "") -> tuple[int, ...]:
    """Levels written as "8,5,5,5", or those for about `codebook_size` entries.

    Sizes the paper does not list get 5 to 8 levels (the paper advises 5 or more) and the largest product that
    is not above `codebook_size`, in as few channels as that takes.

    Raises:
        ConfigError: `levels` is no list of whole numbers from 2, or `codebook_size` is below 5.
    """
    if levels:
        try:
            chosen = tuple(int(level) for level in levels.split(","))
        except ValueError:
            chosen = ()
        if not chosen or min(chosen) < 2:
            raise ConfigError(f'levels is {levels!r}; write whole numbers from 2 like "8,5,5,5"')
        return chosen
    if codebook_size in PAPER_LEVELS:
        return PAPER_LEVELS[codebook_size]
    if codebook_size < 5:
        raise ConfigError(f"codebook_size is {codebook_size}; levels of 5 and more need at least 5")
    most = int(math.log(codebook_size, 5))
    candidates = [c for n in range(1, most + 1) for c in combinations_with_replacement((8, 7, 6, 5), n)]
    return max(
        (c for c in candidates if math.prod(c) <= codebook_size), key=lambda c: (math.prod(c), -len(c))
    )
