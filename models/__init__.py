"""Segmentation networks: trunks, decoders and the strategies that combine image scales.

Knows torch and timm only: nothing here reads a configuration, a data set or a result store.
"""

from models.build import DECODERS, STRATEGIES, TRUNKS, build_model
from models.multiscale import Prediction

__all__ = ["DECODERS", "STRATEGIES", "TRUNKS", "Prediction", "build_model"]
