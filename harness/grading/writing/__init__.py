"""What grades are written as: a table and CSV, one HTML page, and a Markdown page for each student."""
