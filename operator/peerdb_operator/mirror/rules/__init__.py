"""Decisions about mirrors as pure functions of frozen values: no I/O, no clock, no logging; import-linter proves it."""
