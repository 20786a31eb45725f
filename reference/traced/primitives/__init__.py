"""What each of JAX's primitives computes, and how its results change: the rules that the interpreter goes by."""
