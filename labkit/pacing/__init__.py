"""Sends calls as fast as a deployment's limits allow, and no faster."""

from labkit.pacing.estimates import estimate_tokens
from labkit.pacing.pacer import CallTooLargeError, Pacer, Reservation

__all__ = ["CallTooLargeError", "Pacer", "Reservation", "estimate_tokens"]
