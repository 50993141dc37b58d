"""Search among the translations of the source words (`decoding.shortlist`)."""
