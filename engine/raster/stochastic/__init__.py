"""Gradients of any rasterizer and any shading by random perturbation and per-pixel credit.

`loss` has the torch operations, `credit` the estimator and the contract of a credit rule, `perturbation` signs and eps,
`vertex_credit`, `texel_credit`, `light_credit` and `pose_credit` the rules. No shading is known here.
Source: Deliot, Heitz, Belcour 2024 (arXiv 2404.09758).
"""
