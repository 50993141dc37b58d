"""Translation with an exported ONNX folder, without PyTorch: only onnxruntime, NumPy and sentencepiece are imported.

``python -m nmt.extensions.interchange.runtime FOLDER < source`` translates lines. ``nmt export --to onnx`` copies
``translate.py`` into the folder, where it runs without nmt.
"""

from nmt.extensions.interchange.runtime.translate import load as load
