"""One module for each command of the command line, with a `main(options)` that may return a code."""
