"""Who answers: the gradients by hand, the bug zoo, and the table in which every source has its name and its family.

A gradient source is a function (problem, theta) -> (cost, gradient). This room imports `reference`,
`harness.isolation` and the harness's ground floor; checks, training, study and commands ask it for sources.
"""
