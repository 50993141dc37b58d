"""A report of training runs on one page, for a reviewer."""

REQUIRES = ("augmentation", "cards", "comparison")
