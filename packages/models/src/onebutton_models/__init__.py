"""A trained estimator becomes an ONNX file, proven equal; an ONNX file scores a frame. No pickle on the way."""
