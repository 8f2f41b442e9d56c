"""Gets and runs the programs that the tests and benchmarks need."""
