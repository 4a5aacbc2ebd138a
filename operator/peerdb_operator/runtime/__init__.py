"""The process around the controllers: work queue, anti-entropy, start and end, health and metrics servers."""
