"""Crons: runs that begin by themselves, at the times that a schedule names."""
