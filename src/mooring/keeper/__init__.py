"""The small process that holds child processes and speaks HTTP for stdio servers."""
