"""What the notebooks say about their figures: one file per notebook, from notebook 01 to 06.

The prose of a notebook says how to read a figure; a reading says what this run's figures show, in a
sentence or two, and turns when they turn. Must not know TensorFlow, or where figures come from.
"""
