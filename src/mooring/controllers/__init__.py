"""The loops: notice, look, decide, act, report."""
