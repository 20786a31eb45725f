"""Detection power: how many known bugs this harness and its peers catch, and how often they call correct code wrong.

A study is a module with `run_study` and its arguments for a `QUICK` run. Where the document and the table of all
studies do not serve it, it has `document_of` or `table_of`, too. The commands alone import this room; it imports
everything below.
"""
