"""The steps of the workflows: one module a noun, one function a state."""
