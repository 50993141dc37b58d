"""LoRA: fine-tuning that trains two thin matrices in place of each weight matrix."""
