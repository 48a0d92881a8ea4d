"""A trained estimator becomes an ONNX file, proven equal; an ONNX file scores a frame. No pickle on the way."""

import os

# Before anybody imports onnxruntime: its wheels report to their maker unless told otherwise. Nothing here reports to anybody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
