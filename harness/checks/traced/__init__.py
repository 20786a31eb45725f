"""Any function that JAX traces, checked: JAX's derivatives beside the program run primitive by primitive.

How a verdict comes about, by module:

1. `function_arguments` makes the function's arguments a list of arrays; `real_coordinates` says where each entry is in
   one vector of real numbers.
2. `derivative_case` traces the function, with the help of `traced_programs` and `precomputed_state`, and measures its
   values at the point.
3. `jax_modes` computes JAX's derivatives in reverse and in forward mode, and `reported_derivatives` gives each number
   an error bound, by `low_precision` where rounding hides much.
4. `program_at_point` runs the program with exact increments, which use no derivative rule.
5. `program_derivatives` makes slopes of them: `one_sided` ones at kinks.
6. `derivative_answers` puts both side by side at some inputs, as answers with error bounds.
7. `inputs_at_kinks` moves inputs at kinks together, and `many_inputs` covers those that are not looked at one by one.
8. `derivative_comparison` compares all answers, asks finite differences where the two disagree, and decides by
   `error_scales` which errors are small.
9. `culprits` checks each rule alone, at the operands that `equations_met` has kept, and names the one that is wrong;
   `function_values` looks for values and modes that are unsound although the derivatives agree.
10. `derivative_check` leads through all of this, and has `harness.verdict` judge `derivative_subject`, which knows the
    mistakes; `derivative_notes` adds what else is worth knowing.
"""
