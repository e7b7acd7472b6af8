"""Test-only backends, known to every test by name."""

from __future__ import annotations

import pullback as pb
from strict_backend import StrictBackend, StrictDeviceBackend

pb.register_backend("strict", StrictBackend)
pb.register_backend("strict-device", StrictDeviceBackend)
