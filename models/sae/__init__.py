"""The family of sparse autoencoders: one class with a sparsifier, its settings and its files."""

from models.sae.autoencoder import SAEOutput, SparseAutoencoder
from models.sae.config import SAEConfig
from models.sae.sparsifiers import SparseCode

__all__ = ["SAEConfig", "SAEOutput", "SparseAutoencoder", "SparseCode"]
