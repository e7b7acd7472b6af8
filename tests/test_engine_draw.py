"""Pictures of graphs: every node is there once, under its name, with an arrow for every use."""

from __future__ import annotations

import sys

import pytest

import pullback as pb


@pytest.fixture
def graph():
    x = pb.tensor([1.0, 2.0], requires_grad=True)
    w = pb.tensor(3.0, requires_grad=True)
    return (pb.sin(w * x) + x * x).sum(), {"x": x, "w": w}


def test_the_picture_has_every_node_and_arrow(graph):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

    y, names = graph
    axes = pb.draw_graph(y, names, ax=Figure().add_subplot())
    arrows = [text for text in axes.texts if isinstance(text, Annotation)]
    labels = sorted(text.get_text() for text in axes.texts if not isinstance(text, Annotation))
    assert labels == ["add\n(2,)", "multiply\n(2,)", "multiply\n(2,)", "sin\n(2,)", "sum\n()", "w\n()", "x\n(2,)"]
    assert len(arrows) == 8  # x is used three times
    heights = {text.get_text(): text.get_position()[1] for text in axes.texts if not isinstance(text, Annotation)}
    assert heights["x\n(2,)"] > heights["sin\n(2,)"] > heights["sum\n()"]


def test_dot_text(graph):
    y, names = graph
    text = pb.graph_dot(y, names)
    assert text.count("->") == 8
    assert text.count('label="x\\n(2,)", shape=ellipse') == 1
    assert "leaf" in pb.graph_dot(y)


def test_what_cannot_be_drawn(monkeypatch):
    with pytest.raises(pb.GraphError, match="has no graph"):
        pb.graph_dot(pb.ones(2))
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 'pullback\[demo\]'"):
        pb.draw_graph(pb.tensor(1.0, requires_grad=True) * 2.0)
