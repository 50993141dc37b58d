"""``python -m nmt.extensions.interchange.runtime``."""

from nmt.extensions.interchange.runtime.translate import main

if __name__ == "__main__":
    main()
