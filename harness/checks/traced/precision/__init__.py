"""In coarse types: whether a rule is the derivative, and how many digits it keeps, are two questions."""
