"""Long work: executors that run it in processes, shards of large files, and journals of finished work."""
