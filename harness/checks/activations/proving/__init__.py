"""Whether a claimed slope is right for every z, and not on a grid alone: cells of z, and the proof on them."""
