"""Test-only backends, known to every test by name."""

from __future__ import annotations

from pullback.backends import register_backend
from strict_backend import StrictBackend, StrictDeviceBackend

register_backend("strict", StrictBackend)
register_backend("strict-device", StrictDeviceBackend)
