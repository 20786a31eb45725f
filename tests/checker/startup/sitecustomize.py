"""Read by every Python that has this folder in PYTHONPATH, as it starts: plants the mutant that HARNESS_MUTANT names.

So the tests meet it in all the processes that they start: workers, command lines, scripts.
"""

import os

if mutant := os.environ.get("HARNESS_MUTANT"):
    from tests.checker.mutate import plant

    plant(mutant)
