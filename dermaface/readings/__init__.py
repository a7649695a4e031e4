"""What is said of figures, from notebook 01 to 06, and in each walkthrough.

The prose of a notebook says how to read a figure; a reading says what this run's figures show, in a
sentence or two, and turns when they turn. Must not know TensorFlow, or where figures come from.
"""
