"""Editor for image-editing pipelines of diffusers: their own `__call__`, with hooks for anchors."""
