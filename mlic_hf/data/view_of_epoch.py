"""Which draw of an image an epoch shows."""

from __future__ import annotations


def view_of_epoch(epoch: int, views: int | None) -> int:
    """Epoch e shows view e mod V of every image; without a number of views, every epoch is a view of its own.

    View v is drawn from (seed, v, image_id), so whoever keeps something of V views (a teacher's answers, a
    backbone's feature maps) finds in any epoch what belongs to the pixels that the epoch shows.

    Args:
        epoch: from 0.
        views: V, or None.
    """
    return epoch if views is None else epoch % views
