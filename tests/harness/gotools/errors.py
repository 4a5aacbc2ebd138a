"""The error of everything that is built with Go: a sentence that says what is wrong and what to do next."""


class ToolError(Exception):
    """A program cannot be had; the message is written for the person at the terminal."""
