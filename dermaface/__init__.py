"""DermaFace: from a folder of labelled photos to a TFLite file, with proof that it answers alike.

Importing the package only defines it; each module is imported where it is used.
"""

__version__ = "0.1.0"
