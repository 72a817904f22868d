"""Representational alignment: a two-stream vision-language transformer, and measures for any model."""

__version__ = "0.2.0"
