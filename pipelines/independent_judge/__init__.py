"""An independent judge of some rows of each window: values are read again in another way and compared.

The way of publishing compares a topic with what was made for it, so a value that was made wrong agrees with itself. The
judge reads chosen rows in plain Python, without the Arrow kernels and the encoder that made them.
"""
