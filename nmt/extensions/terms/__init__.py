"""What a translation must contain: phrases, and the translations of terms in their places."""
