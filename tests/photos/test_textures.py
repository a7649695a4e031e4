"""Tests of dermaface.photos.textures."""

from dermaface.photos import sample, textures
import numpy as np
import pytest


@pytest.mark.parametrize("family", textures.FAMILIES)
def test_a_family_draws_a_picture_that_depends_on_the_seed(family):
    pictures = [textures.draw_texture(family, np.random.default_rng(n)) for n in (0, 0, 1)]
    for picture in pictures:
        assert picture.dtype == np.uint8 and picture.shape == (96, 96, 3)
        assert picture.std() > 0
    assert (pictures[0] == pictures[1]).all()
    assert (pictures[0] != pictures[2]).any()


def test_no_family_is_a_class_of_the_sample_set():
    assert len(textures.FAMILIES) == len(set(textures.FAMILIES)) >= 30
    assert not set(textures.FAMILIES) & set(sample.CLASS_NAMES)
