"""Is parallel text sound? What ``nmt check-data`` looks for; start in :mod:`nmt.data.check.check`."""
