"""The bundled model, loaded when this module is imported: in the server that forks the workers."""

import torch

from fairy.editors.ip2p.pipeline import FairyPipeline

# A forked process has no threads of its parent's, and torch would wait for them.
torch.set_num_threads(1)
PIPE = FairyPipeline.from_pretrained("mini", device="cpu", dtype="float32")
