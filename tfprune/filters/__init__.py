"""Class-specific filters: which of the last block's filters serve which class (akshaybadola/decomposing-the-deep, and CSG)."""
