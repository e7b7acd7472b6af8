"""Errors that backends raise."""


class BackendError(RuntimeError):
    """A backend is unknown, cannot be loaded, or two of them met in one op."""
