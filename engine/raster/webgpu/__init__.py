"""The raster contract on any GPU: WGSL draws, everything else is the numba or reference implementation's.

Importing this package costs nothing; its modules import wgpu.
"""
