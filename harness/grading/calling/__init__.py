"""How submissions may want to be called: their signatures, the conventions of arguments, and what answers look like."""
