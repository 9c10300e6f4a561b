from __future__ import annotations

from xml.etree import ElementTree

from rehearsal.benchmarks.picture import draw
from rehearsal.benchmarks.waterfall import Segment, Waterfall

SHOWN = Waterfall(
    [
        Segment("polling: <X>", 100, 110, is_lost=True),
        Segment("create HSMs", 110, 200, is_lost=False),
        Segment("polling: <X>", 200, 210, is_lost=True),
    ]
)


def test_a_picture_names_every_loss_once_with_its_seconds_and_shows_each_part() -> None:
    root = ElementTree.fromstring(draw("Grow", SHOWN))
    space = "{http://www.w3.org/2000/svg}"
    texts = [element.text for element in root.iter(f"{space}text")]
    assert "polling: <X>: 20.0 s, 2 times" in texts
    assert "create HSMs: 90.0 s" in texts
    assert "1:50, of which AWS's own 1:30: ratio 1.222; lost 20 s" in texts
    bars = [bar for bar in root.iter(f"{space}rect") if bar.find(f"{space}title") is not None]
    assert len(bars) == 3
