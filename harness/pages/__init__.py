"""Self-contained HTML pages: one look for the lesson and for reports."""
