"""What happens where a shading returns values that are not finite; one rule for the loops on device and processor."""

from __future__ import annotations

from engine.errors import DeviceError

MOST_BAD_CHECKS = 3  # looks in a row


class BadChecks:
    """Counts looks, `check_every` steps apart, that found pixels whose colour is NaN or infinite on either side.

    Such pixels are left out of both sides. A look that finds some goes back to the last state whose steps had none and
    on with other signs; the third such look in a row ends the run.
    """

    def __init__(self, shading: str) -> None:
        """shading: what it is called in messages."""
        self.shading, self.count = shading, 0

    def well(self) -> None:
        """Nothing was found."""
        self.count = 0

    def text(self, found: int, index: int, good: int) -> str:
        """What to tell of `found` pixels at step `index`, back at the state of step `good`."""
        self.count += 1
        return (
            f"the shading {self.shading} returned NaN or infinity for {found} pixels in the last {index - good} steps; "
            f"parameters are back at step {good}"
        )

    def end(self, text: str) -> None:
        """Raise DeviceError where this was one look too many."""
        if self.count >= MOST_BAD_CHECKS:
            raise DeviceError(
                f"{text}; it did so {self.count} times in a row: guard divisions, roots and logarithms in it"
            )
