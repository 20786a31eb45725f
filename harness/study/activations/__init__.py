"""Records of activations, right and wrong, on which the check of activations is measured.

The tests demand the verdict of each, and a study may count them. Nothing in the check itself knows these records.
"""
