"""A suite of pytest tests for your own activation or gradient source.

    pytest --pyargs harness.suite --activation my_module:my_activation
    pytest --pyargs harness.suite --gradient-source my_module:my_backprop

An activation is a `harness.Activation`; a gradient source is a function ``(problem, theta) -> (cost, gradient)``. Both
options can be repeated and combined. Combined, the source is checked on networks of these activations only.
``--gradient-networks N`` and ``--gradient-seed S`` set how many random networks each test checks, and which.
"""
