"""TFLite files: made of a Keras model, looked into, and asked about photos (notebook 05).

Only `convert` knows TensorFlow; `file` and `runtime` are what runs beside an app. Must not know how
a model was trained or by which figures a file is let out.
"""
