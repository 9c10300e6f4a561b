"""What an operator does with a stack: deploy, watch, ask why, destroy."""
