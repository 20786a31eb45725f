"""Any function that JAX traces, checked: JAX's derivatives beside the program run primitive by primitive.

How a verdict comes about, in ten steps:

1. JAX traces f into a program of primitives, with all arguments as one vector x of real numbers. This is a `Case`.
   (`derivative_case`; `function_arguments`, `real_coordinates`, `traced_programs`, `precomputed_state`)
2. The program is run at x: its values, how far rounding may have moved them, and which sums w·f of its outputs are
   differentiated (each output by itself, where there are few). This is a `Point`. (`measured_point`)
3. JAX computes ∂(w·f)/∂x as its users get it, in reverse mode and in forward mode. (`jax_modes`)
4. NumPy runs the same program with increments. Each primitive passes on how much its result changes when x moves by a
   step, by an exact identity such as exp(x + d) - exp(x) = exp(x) expm1(d). So nothing cancels, and no derivative rule
   of JAX's or the user's takes part. (`program_at_point`)
5. A change over the step is a derivative. At a kink there are a left and a right one, and whatever lies between them is
   right. (`program_derivatives`, `one_sided`)
6. Both get error bounds, derived or measured by runs that round at random. Where f computes in less than float64, JAX's
   rule is also evaluated in float64. (`reported_derivatives`; `rounding_bounds`, `low_precision`)
7. Two derivatives differ where they are further apart than the sum of their error bounds. Finite differences of f's
   values are a second opinion on the increments. This is a `Comparison`. (`derivative_answers`,
   `second_opinion`, `derivative_comparison`)
8. Several inputs at kinks are moved together, and inputs that are too many to look at one by one along random
   directions. (`inputs_at_kinks`, `many_inputs`)
9. Each derivative rule is checked alone, at the operands that it met. If anything differs, the rule that is wrong is
   named, with its mistake; if nothing does, wrong rules that the whole hides are found, and values that depend on how f
   is run. (`culprits`; `equations_met`, `lone_equations`, `derivative_mistakes`, `function_values`, `symbolic_zeros`)
10. The verdict is "disagree" where a difference or a wrong rule was found. It is "agree" where nearly all derivatives
    have bounds small enough to mean something, else "inconclusive". Notes say what else is worth knowing.
    (`derivative_check`, `derivative_report`; `correct_digits`)
"""
