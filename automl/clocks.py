"""The time of day that a driver goes by: a jump of the machine's clock makes no attempt longer."""

import time

from automl.history import Attempt
from automl.provenance import host


class Wall:
    """The time of day as it was when this was made, and the seconds since."""

    def __init__(self) -> None:
        self.ahead = time.time() - time.monotonic()

    def now(self) -> float:
        """Return the time of day, in seconds."""
        return self.ahead + time.monotonic()

    def begun(self, number: int) -> Attempt:
        """Return an attempt that starts now, on this machine, on no GPU yet."""
        return Attempt(number, self.now(), None, ("cpu",), host(), "")
