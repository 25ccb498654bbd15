"""What the parts of a pack are called, and which of them come off with which: rules that all stations share.

A slot is where a part goes: `tray`, `module 2`, `busbar 3`, `bolt m2.1`, `harness`, `bms`, `cover`. A bolt's name
begins with the part it holds: `m2` is the module in slot 2, `b3` busbar 3, `c` the cover. Busbar `i` joins modules `i`
and `i + 1`, but for the last two: they lead to the first module's negative and to the last module's positive pole.
Joints `2 i - 1` and `2 i` are the ends of busbar `i`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

TRAY, HARNESS, BMS, COVER = "tray", "harness", "bms", "cover"

SORTS = ("tray", "module", "busbar", "module bolt", "busbar bolt", "cover bolt", "harness", "bms", "cover")

_BOLT = re.compile(r"(?:(?P<kind>[mb])(?P<number>[1-9][0-9]*)\.|(?P<cover>c))[1-9][0-9]*")
_HELD = {"m": "module", "b": "busbar"}


def module_slot(number: int) -> str:
    """The slot of a module; 1 is at the negative pole."""
    return f"module {number}"


def busbar_slot(number: int) -> str:
    """The slot of a busbar."""
    return f"busbar {number}"


def bolt_slot(bolt: str) -> str:
    """The slot of a bolt."""
    return f"bolt {bolt}"


def bolt_of(slot: str) -> str:
    """The name of the bolt in a slot; ValueError for another part's slot."""
    kind, _, bolt = slot.partition(" ")
    if kind != "bolt":
        raise ValueError(f"{slot!r} is no bolt's slot; such slots are like 'bolt m2.1'")
    return bolt


def measured_as(slot: str) -> str:
    """The name of a part in measurements: a bolt's own, else its slot."""
    return bolt_of(slot) if kind_of(slot) == "bolt" else slot


def kind_of(slot: str) -> str:
    """What sort of part goes into a slot: `module`, `busbar`, `bolt`, `tray`, `harness`, `bms` or `cover`."""
    return slot.partition(" ")[0]


def sort_of(slot: str) -> str:
    """What sort of part goes into a slot, a bolt by what it holds: one of SORTS."""
    return kind_of(slot) if kind_of(slot) != "bolt" else f"{kind_of(held_by(bolt_of(slot)))} bolt"


def number_of(slot: str) -> int:
    """The number of a module's or busbar's slot; ValueError for another."""
    return int(slot.partition(" ")[2])


def held_by(bolt: str) -> str:
    """The slot of the part that a bolt holds.

    Raises:
        ValueError: the name is none of a bolt.
    """
    found = _BOLT.fullmatch(bolt)
    if found is None:
        raise ValueError(f"{bolt!r} is no bolt; names are like m2.1 (module 2), b3.1 (busbar 3) and c7 (cover)")
    return COVER if found["cover"] else f"{_HELD[found['kind']]} {found['number']}"


def require_slot(text: str) -> None:
    """Refuse what cannot be a slot of any pack.

    Raises:
        ValueError: the text says how slots are called.
    """
    kind, _, name = text.partition(" ")
    numbered = kind in ("module", "busbar") and re.fullmatch("[1-9][0-9]*", name) is not None
    bolt = kind == "bolt" and _BOLT.fullmatch(name) is not None
    if text not in (TRAY, HARNESS, BMS, COVER) and not numbered and not bolt:
        raise ValueError(
            f"{text!r} is no part; parts are like 'module 2', 'busbar 3', 'bolt m2.1' (module 2), 'bolt b3.1' "
            "(busbar 3), 'bolt c7' (cover), 'harness', 'bms', 'cover'"
        )


def joined_by(busbar: int, modules: int) -> tuple[int, ...]:
    """Numbers of the modules that a busbar of a pack of so many modules is bolted to."""
    if busbar < modules:
        return busbar, busbar + 1
    return (1,) if busbar == modules else (modules,)


def busbar_of(joint: int) -> int:
    """The busbar that a joint is an end of."""
    return (joint + 1) // 2


def coming_off(slot: str, installed: Iterable[str], modules: int) -> tuple[str, ...]:
    """What must come off to take out the part in a slot, itself included; of what is installed, and in that order.

    Everything comes off with the tray. The cover lies over all else but its own bolts. The harness is off before a
    module, a busbar or a bolt of theirs is loosened: through the sense wires would go what a busbar no longer carries.
    A module is under its busbars.
    """
    slots = tuple(installed)
    loosened = held_by(bolt_of(slot)) if kind_of(slot) == "bolt" else slot
    off = {slot}
    if slot == TRAY:
        off.update(slots)
    elif slot == loosened or loosened != COVER:
        off.add(COVER)
    if kind_of(loosened) in ("module", "busbar"):
        off.add(HARNESS)
    if kind_of(slot) == "module":
        busbars = range(1, modules + 2)
        off.update(busbar_slot(busbar) for busbar in busbars if number_of(slot) in joined_by(busbar, modules))
    off.update(each for each in slots if kind_of(each) == "bolt" and held_by(bolt_of(each)) in off)
    return tuple(each for each in slots if each in off)
