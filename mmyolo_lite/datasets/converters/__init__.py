"""Other annotation formats to COCO; each a function under a thin tool."""
