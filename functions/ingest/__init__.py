"""Catalogues that were uploaded, read and embedded."""
