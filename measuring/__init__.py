"""What benchmarks and recipes report alike: where something was measured, and tables in texts."""
