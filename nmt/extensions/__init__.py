"""Extensions: each folder is attached by entry points, as another package would be, and can be deleted.

``REQUIRES`` of an extension that imports others has their names.
"""
