"""Every sentence that the notebooks make from figures; each function returns one as a string.

Prose in a notebook says how to read a result. What *this* run shows is said by one of these, from
the figures themselves, so that it is true of any data set and turns when the figures turn.
"""

# 1. Explore the data

# 2. Build the model

# 3. Train the model

# 4. Analyze the curves

# 5. Convert and test TFLite

# 6. Compare settings
