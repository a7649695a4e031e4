"""The model: backbones, the head, and where to cut the whole in two (notebook 02).

Knows Keras and the scaling of pixels. Must not know where photos lie, how they are fed, or what
becomes of the model once it is trained.
"""
