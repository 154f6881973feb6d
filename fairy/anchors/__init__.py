"""The Fairy method, for every editor: choosing anchors, caching keys and values, attention."""
