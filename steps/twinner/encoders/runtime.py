"""ONNX Runtime without its telemetry: since version 1.29 it reports every session to Microsoft, on Linux too."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the library is loaded

import onnxruntime

__all__ = ["onnxruntime"]
