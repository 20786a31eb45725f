"""Its folder is thereby on the path, so that tests can import `activation_records`."""
