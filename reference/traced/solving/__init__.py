"""Programs that iterate until a tolerance: what their tolerances are, and the same programs with smaller ones."""
