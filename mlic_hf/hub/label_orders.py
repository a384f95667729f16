"""Label names in the orders that the originals trained with; their checkpoints carry none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


def names_of(text: str) -> tuple[str, ...]:
    """The names in a text that parts them by commas, whatever its line breaks."""
    return tuple(" ".join(name.split()) for name in text.split(","))


# ids 1 to 90 of the COCO annotation files, gaps closed
COCO_BY_ID = names_of(
    """person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire
    hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear,
    zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports
    ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine
    glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot
    dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop,
    mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock,
    vase, scissors, teddy bear, hair drier, toothbrush"""
)
COCO_ALPHABETICAL = tuple(sorted(COCO_BY_ID))
VOC = names_of(
    """aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable, dog, horse,
    motorbike, person, pottedplant, sheep, sofa, train, tvmonitor"""
)
# the lines of Concepts81.txt
NUS_WIDE = names_of(
    """airport, animal, beach, bear, birds, boats, book, bridge, buildings, cars, castle, cat,
    cityscape, clouds, computer, coral, cow, dancing, dog, earthquake, elk, fire, fish, flags,
    flowers, food, fox, frost, garden, glacier, grass, harbor, horses, house, lake, leaf, map,
    military, moon, mountain, nighttime, ocean, person, plane, plants, police, protest, railroad,
    rainbow, reflection, road, rocks, running, sand, sign, sky, snow, soccer, sports, statue,
    street, sun, sunset, surf, swimmers, tattoo, temple, tiger, tower, town, toy, train, tree,
    valley, vehicle, water, waterfall, wedding, whales, window, zebra"""
)
ORDERS: dict[str, tuple[str, ...]] = {
    "coco_alphabetical": COCO_ALPHABETICAL,
    "coco_by_id": COCO_BY_ID,
    "voc": VOC,
    "nus_wide": NUS_WIDE,
}


def read_labels(source: str | Path | Sequence[str]) -> list[str]:
    """Label names from a list, the name of a known order, or a text file with one name a line.

    Args:
        source: names, a key of `ORDERS`, or a path.

    Returns:
        the names in order.

    Raises:
        ValueError: when it is neither, or a name is empty or repeated.
    """
    if isinstance(source, str) and source in ORDERS:
        return list(ORDERS[source])
    if isinstance(source, (str, Path)):
        path = Path(source)
        if not path.is_file():
            raise ValueError(
                f"labels: {source} is neither a file with one label a line nor a known order ({', '.join(ORDERS)})."
            )
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    else:
        names = [str(name) for name in source]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated or not names:
        raise ValueError(
            f"labels: {len(names)} names, repeated: {', '.join(repeated) or 'none'}; "
            "expected at least one name, each once."
        )
    return names


def default_labels(orders: Mapping[int, str], count: int, origin: str) -> list[str]:
    """The names that an origin gave its labels, found by their number.

    Args:
        orders: number of labels -> key of `ORDERS`, for this origin.
        count: how many labels the checkpoint has.
        origin: what to call the origin in an error.

    Raises:
        ValueError: when the origin has no data set with that many labels.
    """
    if count not in orders:
        known = ", ".join(f"{number} ({name})" for number, name in orders.items()) or "none"
        raise ValueError(
            f"{origin} has {count} labels and no known order for that many (known: {known}); "
            "give their names with labels (a file with one name a line)."
        )
    return list(ORDERS[orders[count]])
