"""An operator that dies at any step: the next one finishes what it finds, and nothing happens twice."""
