"""The editor for InstructPix2Pix-type UNets: pipeline, session, denoising loop and levers."""
