"""Sweeps of many runs: tasks, and the engines that run them. Correctness rests on claims and done markers, not on the engine."""
