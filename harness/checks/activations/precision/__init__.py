"""How many digits value and slope of a record have: in float64, in float32, in bfloat16."""
