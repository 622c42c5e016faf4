"""What the core asks of the outside: five protocols, and the values that cross them.

An adapter is one module that fulfils one of these. `tests/contracts/` holds one suite a
port, run over every adapter.
"""

from core.ports.clock import Clock
from core.ports.driver import Brief, Driver, Exit, Line, Plan, Verdict
from core.ports.face import Face
from core.ports.forge import NOWHERE, Forge, Merged, MergeOrder
from core.ports.sandbox import Door, Order, Ran, Sandbox, Sized, Status

__all__ = [
    "NOWHERE",
    "Brief",
    "Clock",
    "Door",
    "Driver",
    "Exit",
    "Face",
    "Forge",
    "Line",
    "MergeOrder",
    "Merged",
    "Order",
    "Plan",
    "Ran",
    "Sandbox",
    "Sized",
    "Status",
    "Verdict",
]
