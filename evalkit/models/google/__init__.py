"""Everything that speaks to Google's endpoints."""
