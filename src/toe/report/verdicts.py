"""What every layer says about a run, one line for each; who cannot ask says so."""

from collections.abc import Iterable
from typing import Literal

from toe.api.meta import Struct
from toe.report.text import columns

Word = Literal["passes", "refuses", "waits", "not known"]


class Layer(Struct, frozen=True):
    """Is one layer's verdict, whether it was asked or only predicted, and the way out of a refusal."""

    name: str
    word: Word
    says: str = ""
    asked: bool = True
    """False: nobody asked the layer itself; this is what toe expects of it."""
    way_out: str = ""


def lines(layers: Iterable[Layer], width: int | None = None) -> list[str]:
    """Returns one line for each layer, and below a refusal its way out."""
    found = list(layers)
    rows = [(layer.name, layer.word if layer.asked else f"{layer.word} (predicted)", layer.says) for layer in found]
    if not rows:
        return []
    printed: list[str] = []
    least = [max(len(row[index]) for row in rows) for index in (0, 1)]
    for layer, row in zip(found, rows, strict=True):
        printed += columns(row, [], width, least=least)
        if layer.way_out:
            printed.append(f"    {layer.way_out}")
    return printed


def worst(layers: Iterable[Layer]) -> Word:
    """Returns the word that decides: a refusal beats waiting, that beats what is not known."""
    order: tuple[Word, ...] = ("passes", "not known", "waits", "refuses")
    return max((layer.word for layer in layers), key=order.index, default="passes")
