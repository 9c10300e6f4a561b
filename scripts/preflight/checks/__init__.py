"""The checks, one module a noun; each yields findings and reads AWS through the Account."""
