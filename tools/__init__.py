"""Gets the programs that Slipway's own tests and benchmarks run."""
