"""The right to command a device: granted for a run, revoked by the owner, re-checked where the bytes leave."""

from __future__ import annotations

from collections.abc import Callable

from bmsctl.errors import LeaseRevoked


class Lease:
    """Revocable right to command one device.

    Drivers call `touch` on every valid datum of the device; a lease that is neither touched within
    `fresh_s` nor declared quiet is stale, and the owner ends the run. A device that speaks has ended its quiet:
    from then on it is due again. `granted_s` is the loop time of the grant: a link that was unplugged since
    carries no command of this lease.
    """

    __slots__ = ("_now", "device", "fresh_s", "fresh_until_s", "granted_s", "revoked")

    def __init__(self, device: str, fresh_s: float, now: Callable[[], float]) -> None:
        self.device = device
        self.fresh_s = fresh_s
        self.revoked = False
        self._now = now
        self.granted_s = now()
        self.fresh_until_s = self.granted_s + fresh_s

    def check(self) -> None:
        """Raise LeaseRevoked if this lease no longer carries the right to command."""
        if self.revoked:
            raise LeaseRevoked(f"{self.device}: the run has ended; the command was not sent")

    def touch(self) -> None:
        """The device has just shown valid data; ends a declared quiet."""
        self.fresh_until_s = self._now() + self.fresh_s

    def quiet_for(self, duration_s: float) -> None:
        """Declare a deliberate dwell during which the device need not speak, unless it does."""
        self.fresh_until_s = max(self.fresh_until_s, self._now() + duration_s + self.fresh_s)

    @property
    def fresh(self) -> bool:
        """Whether the device spoke, or was declared quiet, recently enough."""
        return self._now() <= self.fresh_until_s


class LeaseBook:
    """All leases of a station. One device, at most one living lease."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._held: dict[str, Lease] = {}

    def grant(self, device: str, fresh_s: float) -> Lease:
        """Grant the device's lease.

        Raises:
            LeaseRevoked: another run holds it.
        """
        if device in self._held:
            raise LeaseRevoked(f"{device}: already leased; end the run that holds it first")
        lease = self._held[device] = Lease(device, fresh_s, self._now)
        return lease

    def revoke_all(self) -> None:
        """Revoke every living lease, at once and without waiting for its holder."""
        for lease in self._held.values():
            lease.revoked = True
        self._held.clear()

    def release(self, lease: Lease) -> None:
        """Give one lease back; it carries no right any more. Idempotent."""
        lease.revoked = True
        if self._held.get(lease.device) is lease:
            del self._held[lease.device]
