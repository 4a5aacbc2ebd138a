"""Large lists and many Mirrors on a real API server: 5,000 tables in one Mirror, 50 Mirrors at once."""
