"""Layers that resample images, or rearrange their channels and pixels."""

from __future__ import annotations

from typing import Any

from ...autograd.tensor import Tensor
from .. import functional as F
from ..arguments import whole
from ..module import Module


class Upsample(Module):
    """An input of another size: `functional.interpolate`.

    Parameters
    ----------
    size, scale_factor : one of them: the new lengths, or what they are multiplied by; for all axes or for each.
    mode : "nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear" or "area".
    align_corners : whether the outermost elements of input and output lie on each other.
    recompute_scale_factor : take the scale from the rounded sizes and not from the factor.
    """

    def __init__(
        self, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:  # fmt: skip
        if (size is None) == (scale_factor is None):
            raise ValueError(f"{type(self).__name__}: give either size or scale_factor")
        self.size = size
        self.scale_factor = (
            tuple(float(f) for f in scale_factor)
            if isinstance(scale_factor, tuple | list)
            else None if scale_factor is None else float(scale_factor)
        )  # fmt: skip
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        """(n, c, *lengths) -> (n, c, *size)."""
        return F.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        what = f"size={self.size!r}" if self.scale_factor is None else f"scale_factor={self.scale_factor!r}"
        return f"{what}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """An image of another size, each pixel the one nearest to it. (n, c, h, w) -> (n, c, h', w')."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """An image of another size by linear interpolation between aligned corners. (n, c, h, w) -> (n, c, h', w')."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)


class PixelShuffle(Module):
    """Channels spread over blocks of pixels: (…, c·r², h, w) -> (…, c, h·r, w·r). Shi et al. 2016."""

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = whole("PixelShuffle", "upscale_factor", upscale_factor)

    def forward(self, input: Tensor) -> Tensor:
        """(…, c·r², h, w) -> (…, c, h·r, w·r)."""
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Blocks of pixels as channels, the inverse of `PixelShuffle`: (…, c, h·r, w·r) -> (…, c·r², h, w)."""

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = whole("PixelUnshuffle", "downscale_factor", downscale_factor)

    def forward(self, input: Tensor) -> Tensor:
        """(…, c, h·r, w·r) -> (…, c·r², h, w)."""
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """Channels dealt out over groups, which the next grouped convolution then mixes. Zhang et al. 2018, ShuffleNet."""

    def __init__(self, groups: int) -> None:
        self.groups = whole("ChannelShuffle", "groups", groups)

    def forward(self, input: Tensor) -> Tensor:
        """(n, c, …) -> the same shape."""
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
