"""Whole programs, wired."""
