"""The cross-check of gradient sources on a network: one problem, many random ones, the smallest that fails, cases.

How a verdict comes about:

1. Each source answers at θ with a cost and a gradient. Both get an error bound that is derived from the formulas. What
   a source does beside answering, such as changing its θ, is reported. (`source_answers`)
2. All answers are compared with each other in each coordinate, and along random directions with differences of the
   whole cost. (`network_check`)
3. Units that sit exactly at a kink are judged by the one-sided derivatives there. (`network_junctions`)
4. A vote of the families of sources names who is wrong. Before it counts against JAX, JAX answers again as its callers
   run it. Balls are asked where the others cannot decide. (`network_check`)
5. A wrong answer is explained: by bugs of the zoo that answer the same, alone or in pairs, or by a relation such as a
   factor. (`bug_explanations`, `bug_replay`)

Around this: many random networks and their summary (`random_problems`, `many_networks`, `network_summary`), the
smallest network that still fails (`smallest_failure`), and cases on file (`case_files`).

It imports the check of activations, for the slopes at junctions, and no other kind of check.
"""
