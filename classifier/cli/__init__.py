"""The command line, one module for each group of commands; each parses, calls one workflow and prints."""

from classifier.cli.main import app, main

__all__ = ["app", "main"]
