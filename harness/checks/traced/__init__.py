"""Any function that JAX traces, checked: JAX's derivatives beside the program run primitive by primitive.

How a verdict comes about, in ten sentences:

1. `derivative_case` has JAX trace f into a program of primitives, with its arguments as one vector x of real numbers
   (`function_arguments`, `real_coordinates`, `traced_programs`), and what is computed ahead of a solver is made to move
   with x (`precomputed_state`).
2. It then measures f at x: the values, how far rounding may have moved them, and which sums w·f of the outputs are
   differentiated (each output by itself, where there are few).
3. `jax_modes` computes ∂(w·f)/∂x as users of JAX get it: in reverse mode (VJPs) and in forward mode (JVPs).
4. `program_at_point` runs the same program in NumPy with increments: each primitive passes on how much its result
   changes when x moves by a step, by an exact identity such as exp(x + d) - exp(x) = exp(x) expm1(d), so that no
   derivative rule of anybody takes part and nothing cancels.
5. A change over the step is a derivative; at a kink there are a left and a right one, and whatever lies between them is
   right (`one_sided`, `program_derivatives`).
6. Both sides get error bounds: `rounding_bounds` derives them or measures them by runs that round at random, and where
   f computes in less than float64, `low_precision` evaluates JAX's rule in float64 as well (`reported_derivatives`).
7. `derivative_answers` puts both sides next to each other in a `Look`, and `derivative_comparison` compares them: two
   derivatives differ where they are further apart than the sum of their error bounds.
8. Finite differences of f's values are a second opinion on the increments, `inputs_at_kinks` moves several inputs
   together, and `many_inputs` covers inputs that are too many to look at one by one.
9. If anything differs, `culprits` takes the program apart, checks each derivative rule alone at the operands that
   `equations_met` has kept (`lone_equations`), and names the rule that is wrong, with the mistake that its numbers fit
   (`derivative_mistakes`); if nothing does, it looks for wrong rules that the whole hides, and `function_values` for
   values that depend on how f is run.
10. `derivative_check` leads through all of this and has `harness.verdict` judge the `derivative_subject`: "disagree"
    where a difference or a wrong rule was found, "agree" where nearly all derivatives have bounds small enough to mean
    something (`error_scales`), else "inconclusive"; notes say what else is worth knowing (`derivative_notes`), such as
    where a bound has hidden the loss of all digits (`correct_digits`).
"""
