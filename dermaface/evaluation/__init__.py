"""Judgement: figures with intervals, and the answers that they come from (notebook 04).

Knows tables of answers, and files that answer. Must not know TensorFlow or how a model was trained,
so that it judges all files alike.
"""
