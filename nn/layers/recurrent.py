"""Recurrent layers over sequences, and their cells for one step at a time."""

from __future__ import annotations

import math
from typing import Any

from ...autograd import ops
from ...autograd.tensor import Tensor
from .. import functional as F
from .. import init
from ..arguments import choice, probability, whole
from ..module import Module
from ..parameters import parameter
from ..utils.rnn import PackedSequence, pad_packed_sequence, repack


class _Recurrent(Module):
    """Layers and directions of one kind of recurrent network; subclasses name the op."""

    gates = 1
    states = 1

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, *, dtype: Any = None,
        backend: Any = None,
    ) -> None:  # fmt: skip
        name = type(self).__name__
        self.proj_size = whole(name, "proj_size", proj_size, 0)
        if self.proj_size and (self.states == 1 or self.proj_size >= hidden_size):
            raise ValueError(f"{name}: proj_size={proj_size} is for LSTM alone, and smaller than hidden_size")
        self.input_size = whole(name, "input_size", input_size)
        self.hidden_size = whole(name, "hidden_size", hidden_size)
        self.num_layers = whole(name, "num_layers", num_layers)
        self.bias = bool(bias)
        self.batch_first = bool(batch_first)
        self.dropout = probability(name, "dropout", dropout)
        self.bidirectional = bool(bidirectional)
        rows = self.gates * self.hidden_size
        for layer in range(self.num_layers):
            features = self.input_size if layer == 0 else self._width * self._directions
            for suffix in self._suffixes(layer):
                made = {"dtype": dtype, "backend": backend}
                setattr(self, f"weight_ih_{suffix}", parameter(rows, features, **made))
                setattr(self, f"weight_hh_{suffix}", parameter(rows, self._width, **made))
                if self.bias:
                    setattr(self, f"bias_ih_{suffix}", parameter(rows, **made))
                    setattr(self, f"bias_hh_{suffix}", parameter(rows, **made))
                if self.proj_size:
                    setattr(self, f"weight_hr_{suffix}", parameter(self.proj_size, self.hidden_size, **made))
        self.reset_parameters()

    @property
    def _width(self) -> int:
        """Features of the state h, and of the output in one direction."""
        return self.proj_size or self.hidden_size

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _suffixes(self, layer: int) -> list[str]:
        """How the parameters' names of a layer end, one a direction."""
        return [f"l{layer}", f"l{layer}_reverse"][: self._directions]

    def _weights(self, suffix: str) -> list[Any]:
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [getattr(self, f"{kind}_{suffix}", None) for kind in kinds]

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters of each layer and direction."""
        suffixes = [suffix for layer in range(self.num_layers) for suffix in self._suffixes(layer)]
        kinds = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if self.bias else [])]
        kinds += ["weight_hr"] if self.proj_size else []
        return [[getattr(self, f"{kind}_{suffix}") for kind in kinds] for suffix in suffixes]

    def reset_parameters(self) -> None:
        """Draw the parameters anew from U(−1/√hidden_size, 1/√hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _run(self, x: Tensor, first: list[Tensor], weights: list[Any], **order: Any) -> tuple[Tensor, ...]:
        """One direction of one layer: y and the last states."""
        raise NotImplementedError

    def _first(self, hx: Any, batch: int, batched: bool, like: Tensor) -> list[Tensor]:
        """The initial states, each (layers · directions, n, features); zeros for None."""
        count = self.num_layers * self._directions
        shapes = [(count, batch, width) for width in (self._width, self.hidden_size)][: self.states]
        if hx is None:
            return [ops.zeros(shape, dtype=like.dtype, backend=like.backend) for shape in shapes]
        given = [hx] if self.states == 1 else list(hx)
        want = shapes if batched else [(count, width) for _, _, width in shapes]
        if [tuple(getattr(state, "shape", ())) for state in given] != want:
            what = " and ".join(str(getattr(state, "shape", type(state).__name__)) for state in given)
            shown = want[0] if want[0] == want[-1] else f"{want[0]} and {want[1]}"
            raise ValueError(
                f"{type(self).__name__}: {self.states} initial state(s) of shape {shown} are wanted, not {what}"
            )
        return given if batched else [ops.unsqueeze(state, 1) for state in given]

    def _packed(self, input: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        """A packed sequence: padded, with its lengths, and the output packed as it was."""
        padded, lengths = pad_packed_sequence(input)
        if self.batch_first:
            padded = ops.swapaxes(padded, 0, 1)
        y, state = self.forward(padded, hx, lengths=lengths)
        return repack(ops.swapaxes(y, 0, 1) if self.batch_first else y, input), state

    def forward(self, input: Any, hx: Any = None, *, lengths: Any = None) -> tuple[Any, Any]:
        """The states of the last layer at every step, and those of all layers after the last step.

        Parameters
        ----------
        input : (t, n, input_size), or (n, t, input_size) with batch_first, or (t, input_size); or a `PackedSequence`.
        hx : the state before the first step, (layers · directions, n, hidden_size); a pair (h, c) of them for an LSTM,
            h with proj_size features where that is set. Zeros for None.
        lengths : (n,) integers, the steps of each sample; None if all have t. The output after a sample's end is zeros.

        Returns
        -------
        output : (t, n, directions · hidden_size), or with batch and time as the input has them; packed if that is.
        state : of the shape of hx.
        """
        if isinstance(input, PackedSequence):
            return self._packed(input, hx)
        name = type(self).__name__
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            order = "(n, t" if self.batch_first else "(t, n"
            raise ValueError(
                f"{name} takes an input {order}, {self.input_size}) or (t, {self.input_size}), not {input.shape}"
            )
        batched = input.ndim == 3
        x = input if batched else ops.unsqueeze(input, 1)
        if batched and self.batch_first:
            x = ops.swapaxes(x, 0, 1)
        first = self._first(hx, x.shape[1], batched, x)
        last: list[list[Tensor]] = [[] for _ in range(self.states)]
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            both = []
            for direction, suffix in enumerate(self._suffixes(layer)):
                begin = [state[layer * self._directions + direction] for state in first]
                y, *ends = self._run(x, begin, self._weights(suffix), lengths=lengths, reverse=direction == 1)
                both.append(y)
                for collected, end in zip(last, ends, strict=True):
                    collected.append(end)
            x = both[0] if len(both) == 1 else ops.concatenate(both, axis=2)
        if not batched:
            x = ops.squeeze(x, 1)
        elif self.batch_first:
            x = ops.swapaxes(x, 0, 1)
        states = [ops.stack(ends) if batched else ops.squeeze(ops.stack(ends), 1) for ends in last]
        return x, states[0] if self.states == 1 else tuple(states)

    def extra_repr(self) -> str:
        shown = [str(self.input_size), str(self.hidden_size)]
        if self.proj_size:
            shown.append(f"proj_size={self.proj_size}")
        defaults = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        shown += [f"{key}={getattr(self, key)}" for key, value in defaults.items() if getattr(self, key) != value]
        return ", ".join(shown)


_PARAMETERS = """

    Parameters
    ----------
    input_size, hidden_size : features of the input, and of the state.
    num_layers : layers on top of each other.
    bias : whether there are biases.
    batch_first : sequences are (n, t, features) and not (t, n, features). States are (…, n, hidden_size) all the same.
    dropout : probability of dropping an element between two layers, in training.
    bidirectional : each layer has a second network that reads from the end, whose states come after the first one's.

    Attributes
    ----------
    weight_ih_l0 : (rows, input_size), weight_hh_l0 : (rows, hidden_size), bias_ih_l0, bias_hh_l0 : (rows,), and so on
        for each layer; with `_reverse` at the end those of the second direction. PyTorch's names and layouts.
    """


class RNN(_Recurrent):
    __doc__ = f"""Plain recurrent network: h = tanh(W·x + b + U·h₋ + b′). Elman 1990. See `pb.rnn`.

    `nonlinearity` is "tanh" or "relu".{_PARAMETERS}"""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, *, dtype: Any = None,
        backend: Any = None,
    ) -> None:  # fmt: skip
        self.nonlinearity = choice("RNN", "nonlinearity", nonlinearity, ("tanh", "relu"))
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype=dtype, backend=backend
        )

    def _run(self, x: Tensor, first: list[Tensor], weights: list[Any], **order: Any) -> tuple[Tensor, ...]:
        return ops.rnn(x, *first, *weights, nonlinearity=self.nonlinearity, **order)


class LSTM(_Recurrent):
    __doc__ = f"""Long short-term memory. Hochreiter & Schmidhuber 1997. See `pb.lstm`.

    Its state is the pair (h, c). The weights have 4·hidden_size rows, in the order i, f, g, o. With a `proj_size`
    below hidden_size the state h is a projection, R·(o·tanh(c)), by `weight_hr_l0` and so on, (proj_size, hidden_size)
    each. Sak et al. 2014.{_PARAMETERS}"""

    gates = 4
    states = 2

    def _weights(self, suffix: str) -> list[Any]:
        return [*super()._weights(suffix), getattr(self, f"weight_hr_{suffix}", None)]

    def _run(self, x: Tensor, first: list[Tensor], weights: list[Any], **order: Any) -> tuple[Tensor, ...]:
        return ops.lstm(x, *first, *weights[:4], w_hr=weights[4], **order)


class GRU(_Recurrent):
    __doc__ = f"""Gated recurrent units. Cho et al. 2014. See `pb.gru`.

    The weights have 3·hidden_size rows, in the order r, z, n.{_PARAMETERS}"""

    gates = 3

    def _run(self, x: Tensor, first: list[Tensor], weights: list[Any], **order: Any) -> tuple[Tensor, ...]:
        return ops.gru(x, *first, *weights, **order)


class _Cell(Module):
    """One step of a recurrent network."""

    gates = 1
    states = 1

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, *, dtype: Any = None, backend: Any = None
    ) -> None:
        name = type(self).__name__
        self.input_size = whole(name, "input_size", input_size)
        self.hidden_size = whole(name, "hidden_size", hidden_size)
        rows = self.gates * self.hidden_size
        self.weight_ih = parameter(rows, self.input_size, dtype=dtype, backend=backend)
        self.weight_hh = parameter(rows, self.hidden_size, dtype=dtype, backend=backend)
        self.bias_ih = parameter(rows, dtype=dtype, backend=backend) if bias else None
        self.bias_hh = parameter(rows, dtype=dtype, backend=backend) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew from U(−1/√hidden_size, 1/√hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _run(self, *arrays: Any) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """The next state. input: (n, input_size), hx: (n, hidden_size), or both without n; zeros for None.

        An LSTM's state is a pair (h, c).
        """
        name, size = type(self).__name__, self.input_size
        if input.ndim not in (1, 2) or input.shape[-1] != size:
            raise ValueError(f"{name} takes an input (n, {size}) or ({size},), not {input.shape}")
        x = input if input.ndim == 2 else ops.unsqueeze(input, 0)
        if hx is None:
            zeros = ops.zeros((x.shape[0], self.hidden_size), dtype=x.dtype, backend=x.backend)
            first = [zeros] * self.states
        else:
            given = [hx] if self.states == 1 else list(hx)
            first = given if input.ndim == 2 else [ops.unsqueeze(state, 0) for state in given]
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        _, *ends = self._run(ops.unsqueeze(x, 0), *first, *weights)
        if input.ndim == 1:
            ends = [ops.squeeze(end, 0) for end in ends]
        return ends[0] if self.states == 1 else tuple(ends)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias_ih is not None else ", bias=False")


class RNNCell(_Cell):
    """One step of a plain recurrent network, h = tanh(W·x + b + U·h₋ + b′), or relu of it. See `RNN`."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", *, dtype: Any = None,
        backend: Any = None,
    ) -> None:  # fmt: skip
        self.nonlinearity = choice("RNNCell", "nonlinearity", nonlinearity, ("tanh", "relu"))
        super().__init__(input_size, hidden_size, bias, dtype=dtype, backend=backend)

    def _run(self, *arrays: Any) -> tuple[Tensor, ...]:
        return ops.rnn(*arrays, nonlinearity=self.nonlinearity)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(_Cell):
    """One step of long short-term memory: (x, (h₋, c₋)) -> (h, c). See `LSTM`."""

    gates = 4
    states = 2

    def _run(self, *arrays: Any) -> tuple[Tensor, ...]:
        return ops.lstm(*arrays)


class GRUCell(_Cell):
    """One step of gated recurrent units. See `GRU`."""

    gates = 3

    def _run(self, *arrays: Any) -> tuple[Tensor, ...]:
        return ops.gru(*arrays)
