"""The gradient lens: which pixels of a photo move one parameter and how, by three independent engines.

`scene` renders a snapshot as the stages do, `parameters` says what can be chosen, `analytic`, `stochastic` and
`differences` are the engines, `report` compares whole gradients; engine/optimize/gradient_lens.py is the entrance.
"""
