"""Mixed precision in one place: which dtype a device computes in, and what stays float32.

Convolutions and matrix products run in the policy's dtype under autocast. Fusion, softmax,
losses (RMI above all) and IoU counts are computed in float32 whatever the policy: strategies
call ``.float()`` on network outputs before they fuse. So are dilated depthwise convolutions on a
CPU: there oneDNN's bfloat16 weight gradient reads memory that nobody wrote (torch 2.15, maps from
32 x 40; random values, at times NaN).
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class Precision:
    """A device and the dtype that its convolutions run in."""

    device: torch.device
    dtype: torch.dtype

    @property
    def name(self) -> str:
        """``float32``, ``bfloat16`` or ``float16``."""
        return str(self.dtype).removeprefix("torch.")

    def autocast(self) -> AbstractContextManager[object]:
        """The context that forward passes run in; a no-op in float32."""
        return torch.autocast(
            self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32
        )

    def scaler(self) -> torch.amp.GradScaler:
        """Loss scaling; enabled in float16 only."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)


def choose_precision(requested: str, device: torch.device) -> Precision:
    """Resolve ``auto`` or a dtype's name for a device.

    ``auto`` takes bfloat16 on CPUs with AVX512-BF16 or AMX and on Ampere or newer GPUs, float16
    with loss scaling on older GPUs, and float32 elsewhere.

    Raises:
        ValueError: an unknown name, or float16 on a device that has no fast float16.
    """
    if requested == "auto":
        return Precision(device, _fastest_dtype(device))
    if requested not in DTYPES:
        raise ValueError(f"unknown precision {requested!r}; known: auto, {', '.join(DTYPES)}")
    if requested == "float16" and device.type == "cpu":
        raise ValueError("precision 'float16' needs a GPU; on a CPU take bfloat16 or float32")
    return Precision(device, DTYPES[requested])


def guard_dilated_depthwise(network: nn.Module) -> None:
    """Let every dilated depthwise convolution of a network compute in float32 on CPUs."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.groups > 1 and max(layer.dilation) > 1:
            layer.__class__ = _in_float32(type(layer))  # type: ignore[arg-type]  # classes hash


@cache
def _in_float32(convolution: type[nn.Conv2d]) -> type[nn.Conv2d]:
    class InFloat32(convolution):  # type: ignore[misc, valid-type]
        def forward(self, x: Tensor) -> Tensor:
            if x.device.type != "cpu":
                return super().forward(x)
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float()).to(x.dtype)

    InFloat32.__name__ = f"{convolution.__name__}InFloat32"
    return InFloat32


def _fastest_dtype(device: torch.device) -> torch.dtype:
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float16
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"):
            return torch.bfloat16
    return torch.float32
