"""A BMS in another process broadcasts CAN FD; our link keeps the newest of each frame."""

from __future__ import annotations

import pytest

from bmsctl.protocols.bms_broadcast import AMPR_MEDIUM
from tests.vcan.wire import awake_bms, link_on, peer_on, run, until


def test_a_medium_bms_is_read_from_fd_frames_of_64_bytes() -> None:
    cells = AMPR_MEDIUM.cells

    async def main() -> None:
        with awake_bms("vcan1", AMPR_MEDIUM.name), peer_on("vcan1") as peer:
            async with link_on("vcan1", fd=True) as link:
                link.latch(cells.can_ids)
                await until(lambda: None not in map(link.newest, cells.can_ids), "all cells")
                seen = [frame for _ in range(100) if (frame := peer.receive()).can_id in cells.can_ids]
                newest = [frame for can_id in cells.can_ids if (frame := link.newest(can_id)) is not None]
        assert {(len(frame.data), frame.fd, frame.bit_rate_switch) for frame in seen} == {(64, True, True)}
        opened = [AMPR_MEDIUM.unseal(frame.can_id, frame.data) for frame in newest]
        volts = AMPR_MEDIUM.decode_cells([sealed.payload for sealed in opened if sealed is not None])
        assert volts == pytest.approx([3.6] * 96, abs=0.02)

    run(main)
