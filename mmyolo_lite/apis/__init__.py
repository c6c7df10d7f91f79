"""What a program or a command line calls."""
