"""The method, for every editor: which frames are anchors, their keys and values, attention."""
