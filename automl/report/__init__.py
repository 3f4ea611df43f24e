"""What a person reads at the end of a study, and while it runs: facts first, then their outputs."""
