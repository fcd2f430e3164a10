"""Triangles to pixels and gradients back: visibility, interpolation, coverage, texture."""
