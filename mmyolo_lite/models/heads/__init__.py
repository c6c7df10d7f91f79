"""Heads: prediction layers, losses, detections."""
