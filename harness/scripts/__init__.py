"""Scripts that check somebody's function again, from any folder: for a failure that was seen inside of a test."""
