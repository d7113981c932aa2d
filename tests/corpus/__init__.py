"""Tests of twinner.corpus."""
