"""What ships: the gate, the release folder, its contract and its card (notebook 05).

`contract` needs the base install alone, because whoever receives a release runs it. Must not know
TensorFlow, training, or how the file came about.
"""
