"""What ships: the gate, the release folder, its contract and its card (notebook 05).

`contract` needs only the base install, because the receiver of a release runs it. Must not know
TensorFlow, training, or how the file was made.
"""
