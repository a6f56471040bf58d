"""A run as a page for people, `report.html`, and as a table for a README."""
