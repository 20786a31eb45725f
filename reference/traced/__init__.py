"""Any function that JAX traces, run primitive by primitive in arithmetic that owes nothing to XLA or to its rules.

    read                 f -> Program: equations over numbered slots        traced_function, equations
    run in float64       values and increments, so true derivatives         interpreter
    run at random        each result times 1 ± u: what rounding does        interpreter with random_rounding
    run with bounds      what rounding can do at most                       bounded_run
    decide otherwise     the branches that rounding might take              decisions
    run by JAX           without custom rules, or in float64                program_replay
    run eagerly          as Python runs it, and not as a whole              traced_function

What a primitive computes is stated by its record in `primitives`, of the type in `primitive`. What has no rule is
computed by JAX (`primitive_values`) and differenced (`primitive_differences`), solvers with smaller tolerances as well
(`solver_tolerances`), and rules that are trusted are taken as they are (`trusted_rules`). `rule_origins` says who wrote
a function and its derivative rule.
"""
