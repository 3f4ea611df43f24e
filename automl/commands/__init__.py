"""One module for each command, with a `main(options)` that may return an exit code."""
