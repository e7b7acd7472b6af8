"""Arrays that hold a whole batch of examples, and the rules that compute on all of it at once: what `vmap` runs on."""

from . import rules
