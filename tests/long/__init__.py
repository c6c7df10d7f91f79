"""Long proofs, each a command; the test suite runs short forms of them."""
