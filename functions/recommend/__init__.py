"""HTTP requests of shops and their pages, answered."""
