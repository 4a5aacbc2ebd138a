"""Everything about the kind Mirror: its rules, what is observed, executed and stored, and the loop over them."""
