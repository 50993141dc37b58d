"""The networks. Read contracts.py first, then build.py, then the component that interests you."""
