"""Segmentation networks: trunks, decoders and the strategies that combine image scales.

Knows torch and timm only: nothing here reads a configuration, a data set or a result store.
"""

from models.build import STRATEGIES, build_model
from models.decoders import DECODERS
from models.multiscale import Prediction
from models.trunks import TRUNKS

__all__ = ["DECODERS", "STRATEGIES", "TRUNKS", "Prediction", "build_model"]
