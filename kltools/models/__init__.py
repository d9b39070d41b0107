"""Densities fitted to samples: normal mixtures, and maps that make columns normal."""
