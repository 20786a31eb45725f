"""Speed beside peers, in one run: `python -m tests.benchmarks`. Nothing here is a test, and no test is timed."""
