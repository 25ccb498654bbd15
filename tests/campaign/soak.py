"""A station listens to two full buses on a bench for a long time: flat memory, and no frame lost in silence.

`python -m tests.campaign.soak 30` listens so many minutes. Links and drivers are the production ones; the pack is
awake, all it broadcasts is read ten times a second, and the PLC is answered. The frames that fill the buses are
counted by the hub that sends them and by the station that receives them. Prints a line a minute. Exits 1 if the
station's memory grew by more than RSS_GROWTH_MAX after WARM_UP_MINUTES, or frames are missing that no link reports.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path
from typing import NamedTuple

from bmsctl.compose.eol import devices_of
from bmsctl.compose.recipes import RecipeBook
from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.links import CanFrame, CanLink
from bmsctl.domain.world import Site
from bmsctl.errors import DeviceError
from firmware_stubs.ports import BUS_OF
from hil.bench import own_bench, prefer_this_process
from hil.hub.control import HubControl
from hil.hub.packets import STANDARD_ID_MAX
from hil.layout import Layout
from hil.world import HilWorld
from tests.campaign.full_bus import full_buses
from tests.contract.station import SUPPLY, SUPPLY_LIMIT, WAKES_WITHIN

RECIPE = RecipeBook(None).by_pack("AS52")
MINUTE_S = 60.0
READ_EVERY_S = 0.1
WARM_UP_MINUTES = 2
RSS_GROWTH_MAX = 0.02
UNDER_WAY_S = 1.0
"""What has left the hub by now has arrived after this."""


class Filled(NamedTuple):
    """A link, and how many of the frames that only fill its bus have arrived."""

    link: CanLink
    arrived: list[int]

    @staticmethod
    def listening(link: CanLink) -> Filled:
        """Count on this link from now on."""
        arrived = [0]

        def count(frame: CanFrame) -> None:
            arrived[0] += 1

        link.push([STANDARD_ID_MAX], count)
        return Filled(link, arrived)

    @property
    def reported(self) -> int:
        """Frames that the link knows were lost."""
        health = self.link.health()
        return health.lost + health.overflow


class Soaked(NamedTuple):
    """What a soak showed."""

    rss_mib: list[float]
    """Each minute's end."""
    unreported: int
    """Frames that were sent, did not arrive, and that no link reports as lost."""
    not_read: int
    """Broadcasts that the driver could not read."""


def rss_mib() -> float:
    """Memory of this process that is in RAM."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


async def listen(site: Site, layout: Layout, minutes: int) -> Soaked:
    """Wake the pack, fill the buses, and listen."""
    devices = devices_of(site, RECIPE.pack)
    leases = LeaseBook(asyncio.get_running_loop().time)
    plc, supply, bms = (leases.grant(device, MINUTE_S) for device in ("plc", "lv_supply", "bms"))
    devices.plc.listen(devices.plc.answer, lambda status: None)
    await devices.lv_supply.identify(supply)
    await devices.lv_supply.on(supply, SUPPLY, SUPPLY_LIMIT)
    await devices.plc.supply(plc, kl30=True, kl15=True)
    await devices.bms.alive(bms, WAKES_WITHIN)
    filled = {bus: Filled.listening(site.can(device)) for device, bus in BUS_OF.items()}
    minutes_rss, not_read = [], 0
    with full_buses(layout):
        for minute in range(1, minutes + 1):
            end_s = asyncio.get_running_loop().time() + MINUTE_S
            while asyncio.get_running_loop().time() < end_s:
                try:
                    await devices.bms.cells(bms, 1)
                    await devices.bms.temperatures(bms)
                except DeviceError:
                    not_read += 1
                await asyncio.sleep(READ_EVERY_S)
            minutes_rss.append(rss_mib())
            _tell(minute, minutes_rss[-1], filled)
    await asyncio.sleep(UNDER_WAY_S)
    unreported = sum(_unreported(layout, bus, each) for bus, each in filled.items())
    devices.plc.supply_off()
    devices.lv_supply.off()
    return Soaked(minutes_rss, unreported, not_read)


def _tell(minute: int, rss: float, filled: dict[str, Filled]) -> None:
    sys.stdout.write(f"{minute:4d} min {rss:8.2f} MiB")
    for bus, each in filled.items():
        health = each.link.health()
        sys.stdout.write(f"; {bus}: {each.arrived[0]} frames, {health.lost} lost, {health.overflow} overflow")
    sys.stdout.write("\n")
    sys.stdout.flush()


def _unreported(layout: Layout, bus: str, filled: Filled) -> int:
    """How many frames are missing on a bus beyond those that its link reports."""
    with HubControl(layout.channel(bus)) as hub:
        sent = sum(each.frames for each in hub.traffic().ids if each.can_id == STANDARD_ID_MAX)
    missing = sent - filled.arrived[0]
    sys.stdout.write(f"{bus}: {sent} sent to fill it, {missing} missing, {filled.reported} reported\n")
    return max(0, missing - filled.reported)


def main(minutes: int = 30) -> int:
    prefer_this_process()
    with own_bench(can="bench") as bench:
        world = HilWorld(RECIPE, seed=1, scenario=None, folder=bench.layout.folder)
        soaked = world.run(lambda site: listen(site, bench.layout, minutes))
    warm, last = soaked.rss_mib[min(WARM_UP_MINUTES, minutes) - 1], soaked.rss_mib[-1]
    growth = last / warm - 1.0
    sys.stdout.write(f"memory {growth:+.2%} since minute {WARM_UP_MINUTES}; {soaked.not_read} broadcasts not read\n")
    trouble = {
        f"memory grew by {growth:.1%}": growth > RSS_GROWTH_MAX,
        f"{soaked.unreported} frames lost in silence": soaked.unreported > 0,
        "; ".join(world.findings()): bool(world.findings()),
    }
    missed = [text for text, wrong in trouble.items() if wrong]
    sys.stderr.writelines(f"missed: {text}\n" for text in missed)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(*(int(argument) for argument in sys.argv[1:2])))
