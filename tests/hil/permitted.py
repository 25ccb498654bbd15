"""`python -m tests.hil.permitted FOLDER`: a station that asks for high voltage on a bench, and then only answers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from bmsctl.compose.eol import devices_of
from bmsctl.compose.recipes import RecipeBook
from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.ports import Plc
from bmsctl.domain.world import Site
from hil.world import HilWorld

FRESH_S = 60.0
PATIENCE_S = 20.0

Then = Callable[[Plc], Awaitable[None]]


def with_permissive(folder: Path, then: Then) -> list[str]:
    """Do `then` with a PLC that permits high voltage and is answered; what the bench's observer found wrong."""
    world = HilWorld(RecipeBook(None).by_pack("AS52"), seed=1, scenario=None, folder=folder)

    async def main(site: Site) -> None:
        plc = devices_of(site).plc
        heard = asyncio.Event()

        def answer(challenge: object) -> None:
            plc.answer(challenge)  # type: ignore[arg-type]
            heard.set()

        plc.listen(answer, lambda status: None)
        async with asyncio.timeout(PATIENCE_S):
            await heard.wait()
            await asyncio.sleep(0.1)
            lease = LeaseBook(asyncio.get_running_loop().time).grant("plc", FRESH_S)
            await plc.permit(lease, site.run_token("test"))
            await then(plc)

    world.run(main)
    return world.findings()


async def _stay(plc: Plc) -> None:
    print("permitted", flush=True)  # noqa: T201
    await asyncio.sleep(FRESH_S)


if __name__ == "__main__":
    with_permissive(Path(sys.argv[1]), _stay)
