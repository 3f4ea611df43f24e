"""Read a study file: YAML with the place of every key, and words for all that is wrong with it."""
