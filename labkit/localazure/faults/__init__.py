"""Faults on demand: what the calls of a deployment run into, one by one, by chance, or by a script on the clock."""

from labkit.localazure.faults.fault import FAILURES, By, Fault, Kind, read
from labkit.localazure.faults.queue import Faults
from labkit.localazure.faults.script import scripted

__all__ = ["FAILURES", "By", "Fault", "Faults", "Kind", "read", "scripted"]
