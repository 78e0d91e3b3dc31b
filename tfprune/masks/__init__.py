"""Supermasks: selection of the kept weights, the rules that mask a kernel, masked layers, initial weights, export."""
