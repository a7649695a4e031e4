"""Training: devices, batches, what is computed once, and stages (notebook 03).

Knows photos, models and TensorFlow. Must not know the figures by which a model is judged later, or
anything of a release.
"""
