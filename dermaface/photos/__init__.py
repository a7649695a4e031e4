"""Photos: drawn or found, checked, compared and split (notebook 01).

Knows files, pixels and tables. Must not know TensorFlow, models or anything about training, so
that photos can be looked at, and read beside an app, where none of that is installed.
"""
