"""Where trials run: `local` (a process for each, on this machine) and `inline` (in the driver)."""
