"""The authors' asset files: laid out as the released catalog expects them."""
