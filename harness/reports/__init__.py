"""What a command found, as one self-contained HTML page: the verdict first, and at the end how to get it again."""
