"""``python -m nmt.runtime``."""

from nmt.runtime.translate import main

if __name__ == "__main__":
    main()
