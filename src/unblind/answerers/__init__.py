"""Vision-language models of the hub that answer questions about pictures, and do not act."""
