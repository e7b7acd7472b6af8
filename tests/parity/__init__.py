"""The parity report: everything public beside PyTorch, on PyTorch's own sample inputs.

`python tests/parity_report.py` makes it. A section (ops, layers, optimisers, ...) is one module here that offers a
`SECTION`; `case.py` says what that is, and `compare.py` compares a function of arrays, and its first and second
gradients, between the two libraries. Nothing in this package imports torch when it is itself imported.
"""
