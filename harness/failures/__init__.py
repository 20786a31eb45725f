"""How a failing check is repeated: what a failing test shows, and the script that makes the same call."""
