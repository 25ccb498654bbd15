"""Every exception bmsctl raises, by who has to act.

BmsctlError
├── RecipeError            the test engineer edits the recipe; nothing has moved yet
├── ScenarioError          whoever wrote the scenario edits it; nothing has moved yet
├── StationFileError       the technician edits the station file; nothing has moved yet
├── Refused                the person who asked: a rule of the shop forbids it now
├── StoreError             the administrator: the store cannot be used as it is
│   └── StoreTooNew        … it was written by a newer bmsctl
├── DeviceError            the technician checks a cable; the step is INVALID
│   ├── DeviceTimeout      no answer in time
│   ├── ReplyInvalid       an answer that cannot be decoded or believed
│   ├── DeviceRefused      a well-formed "no": an NRC, an error queue entry, a refused route
│   ├── DeviceRestarted    it lost its settings by restarting; the step begins anew
│   ├── LinkDown           the wire or its adapter is gone
│   └── TxFull             … the sender is too fast for the wire; a defect of a driver
├── LeaseRevoked           nobody: the run has been ended; the command did not leave
├── RunStopped             nobody: the operator stopped the run between two steps
└── StepInvalid            the technician: a precondition of a measurement is not met

A pack out of limits is never an exception; it is a verdict.
"""

from __future__ import annotations


class BmsctlError(Exception):
    """Base of all errors raised on purpose. The text says what, where and what to do."""


class RecipeError(BmsctlError):
    """A recipe cannot be compiled. Carries one text per finding, `file:line: key: what; remedy`."""

    def __init__(self, findings: list[str]) -> None:
        super().__init__("\n".join(findings))
        self.findings = findings


class ScenarioError(BmsctlError):
    """A scenario names an unknown kind, or a parameter is unknown, missing or wrong."""


class StationFileError(BmsctlError):
    """The station file cannot be used. Carries one text per finding, `file:line: key: what; remedy`."""

    def __init__(self, findings: list[str]) -> None:
        super().__init__("\n".join(findings))
        self.findings = findings


class Refused(BmsctlError):
    """A rule of the shop forbids what was asked: process lock, retest without a cause, mode."""


class StoreError(BmsctlError):
    """The store is locked, read-only, damaged or not a store. Nothing was changed."""


class StoreTooNew(StoreError):
    """The store's schema is newer than this bmsctl. Nothing was changed."""


class DeviceError(BmsctlError):
    """A device did not do its part. `device` is its name in the station."""

    def __init__(self, device: str, message: str) -> None:
        super().__init__(f"{device}: {message}")
        self.device = device


class DeviceTimeout(DeviceError, TimeoutError):
    """No answer, or no fresh value, within the time stated."""


class ReplyInvalid(DeviceError, ValueError):
    """Bytes arrived but fail their check, or decode to something no device may say."""


class DeviceRefused(DeviceError):
    """The device understood and refused."""


class DeviceRestarted(DeviceError):
    """The device has restarted by itself since it was set up; what it measured since is worth nothing."""


class LinkDown(DeviceError, ConnectionError):
    """The link is down: bus-off, adapter unplugged, port closed."""


class TxFull(DeviceError):
    """The bounded transmit queue is full; the frame was not queued."""


class LeaseRevoked(BmsctlError):
    """The lease this command rests on has been revoked; the command did not leave the station."""


class RunStopped(BmsctlError):
    """The run ends between two steps, as the operator wished."""


class StepInvalid(BmsctlError):
    """A step cannot measure: a condition is not met. Its verdict is INVALID with this text as reason."""
