"""The local Azure: a loopback server that real Azure SDKs talk to, so that the course costs nothing."""

from labkit.localazure.server import LocalAzure, PortBusyError

__all__ = ["LocalAzure", "PortBusyError"]
