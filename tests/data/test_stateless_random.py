from __future__ import annotations

import random

import numpy as np
import torch

from mlic_hf.data import stateless_generator


def test_same_key_same_draws_known_value() -> None:
    # fixed: a change of the hash or the bit generator would silently change every augmentation
    assert stateless_generator(0, 3, "image", 1).integers(0, 1000, 4).tolist() == [931, 641, 219, 874]


def test_every_part_of_the_key_counts() -> None:
    keys = [(0, 0, "a", 0), (1, 0, "a", 0), (0, 1, "a", 0), (0, 0, "b", 0), (0, 0, "a", 1), (0, 0, "a, 0", 0)]
    draws = {stateless_generator(*key).random() for key in keys}
    assert len(draws) == len(keys)


def test_no_global_state_is_touched() -> None:
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    stateless_generator(5, "x").random(10)
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
