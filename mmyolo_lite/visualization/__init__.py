"""Drawing of this project; pictures of predictions come from mmdet."""
