"""Our own report on the reproduction as a PDF, from the records and pages that are there."""
