"""TFLite files: made from a Keras model, inspected, and asked about photos (notebook 05).

Only `convert` knows TensorFlow; `file` and `runtime` are what runs beside an app. Must not know how
a model was trained or which figures decide whether a file is released.
"""
