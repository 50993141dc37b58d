"""The networks. Read interfaces.py first, then build.py, then the component that interests you."""
