"""WGSL, one file per feature, read through importlib.resources."""
