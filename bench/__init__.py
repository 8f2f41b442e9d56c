"""Benchmarks of the generated service and of generating it."""
