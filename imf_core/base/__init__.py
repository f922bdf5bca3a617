"""What every room may import: parameters, errors, files, locks, devices, safe output."""
