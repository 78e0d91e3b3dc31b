"""Pruning: weights and units ranked by a criterion, silenced, and taken out (justincosentino/network-pruning, and what came after)."""
