"""The batching rules of all ops, by family. Elementwise ops need none: `backend.aligned` is theirs."""

from . import index_rules, layer_rules, product_rules, shape_rules

__all__ = ["index_rules", "layer_rules", "product_rules", "shape_rules"]
