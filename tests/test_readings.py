"""Tests that every reading turns when its figures turn."""

# 1. Explore the data

# 2. Build the model

# 3. Train the model

# 4. Analyze the curves

# 5. Convert and test TFLite

# 6. Compare settings
