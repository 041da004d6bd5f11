"""An independent judge for some rows of each window: it reads their values in another way and compares.

Publishing compares a topic with what was made for it. So a value that was made wrong still agrees with
itself. The judge reads chosen rows in plain Python, without the Arrow kernels and the encoder that made them.
"""
