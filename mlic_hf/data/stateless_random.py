"""Random numbers that depend on what they are for, not on what was drawn before."""

from __future__ import annotations

import hashlib
import json

import numpy as np


def stateless_generator(*key: int | str) -> np.random.Generator:
    """A generator that is a function of its key alone.

    The same key gives the same draws in every process, worker, order and run, and no global state is read or
    written: resumed runs, other process counts and cached teacher outputs all rest on it. The key is hashed
    with BLAKE2b, whose value does not depend on the interpreter's hash seed.

    Args:
        key: whole numbers and texts, for example `seed, epoch, image_id, view`.
    """
    digest = hashlib.blake2b(json.dumps(key).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))
