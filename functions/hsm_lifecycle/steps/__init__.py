"""The steps of the workflows: one module per subject, one function per state."""
