"""Wrong derivatives that software has shipped, each with the check that finds it."""
