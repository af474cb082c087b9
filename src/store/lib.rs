//! Where models come from and go: folders, GGUF files, package indexes, the Hugging Face hub.
