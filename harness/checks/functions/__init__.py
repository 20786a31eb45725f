"""The check of anybody's own function (cost, gradient), of which nothing is known but its values.

How a verdict comes about:

1. θ becomes one flat vector of float64, and the function answers over it, whichever of several conventions it follows.
   (`parameters`, `tree_leaves`, `tree_branches`, `torch_state`; `user_function`)
2. It is called twice at θ. A gradient that does not repeat is reported, and nothing else is asked. (`gradient_case`)
3. No error bound can be derived for formulas that nobody shows, so it is measured: the noise of the cost, from its
   scatter at points a few roundings apart, and how far rounding moves the gradient. This is a `GradientCase`.
   (`gradient_case`; `cost_probe`, `cost_noise`)
4. The cost is differenced along each coordinate or, of many, along random directions in groups of them. A glance of two
   costs may confirm what is reported. (`cost_differences`)
5. Where the glance leaves doubt, the step that decides is searched for, from wide to narrow. A contradiction counts
   only if a narrower step and a third one show it as well, and if no rough cost explains it. Once two lines of a block
   are wrong, a glance is enough for the rest. (`slope_search`; `line_stencil`, `rough_costs`)
6. Gradient, differences and a reference by JAX, where there is one, are compared. At a kink any slope between the
   one-sided ones is right. (`gradient_comparison`)
7. A gradient that is right here may be kept from an earlier call: it is asked for elsewhere, too. (`cached_gradient`)
8. Where the gradient is wrong, the mistake that fits the error is named. (`function_subject`, `error_patterns`)

`gradient_check` does this in order. Of a Jacobian or a Hessian, a random combination of the rows is checked by the same
steps, and then each row that this leaves open (`jacobian_check`, `vector_function`). `taylor_remainder` judges costs
that are too noisy for differences.

The doors import this room; it imports no other kind of check.
"""
