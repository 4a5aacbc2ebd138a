"""What the operator says of itself: Events, log lines, metrics and traces."""
