"""The dataset doctor: finds what is wrong with annotation files and images, and mends it."""

from mmyolo_lite.datasets.doctor.annotations import quick_check
from mmyolo_lite.datasets.doctor.findings import Report
from mmyolo_lite.datasets.doctor.kinds import KINDS, Severity

__all__ = ['KINDS', 'Report', 'Severity', 'quick_check']
