"""Its folder is thereby on the path, also for the folders below, which share `activation_records`."""
