"""Pure functions on arrays and tensors; they know no other part of the package."""
