"""Judgement: figures with intervals, and the answers that they are made of (notebook 04).

Knows tables of answers, and files that answer. Must not know TensorFlow or how a model was trained,
so that it judges any file alike.
"""
