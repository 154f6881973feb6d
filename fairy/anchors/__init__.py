"""The method, for every editor: choosing anchors, caching their keys and values, attention."""
