"""Runs: stages that train into folders, each resumable, joined by what they leave on disk."""
