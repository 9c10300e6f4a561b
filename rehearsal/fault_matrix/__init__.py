"""The fault matrix: every call of every request, failed in every way that AWS may fail it."""
