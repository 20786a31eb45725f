"""A suite of tests for an activation or a gradient source of your own, run by pytest.

    pytest --pyargs harness.suite --activation my_module:my_activation
    pytest --pyargs harness.suite --gradient-source my_module:my_backprop

An activation is a `harness.Activation`; a gradient source is a function ``(problem, theta) -> (cost, gradient)``. Both
options can be repeated and combined: the source is then tried on networks of these activations only.
``--gradient-networks N`` and ``--gradient-seed S`` say how many random networks each test tries, and which.
"""
